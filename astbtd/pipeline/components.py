"""Create the components that process cores, as configured. The daemon and the commands share this."""

from collections.abc import Callable
from dataclasses import dataclass

from astbtd.claims.claim import Claims
from astbtd.claims.private_copy import Unpacker
from astbtd.extraction.gdb_runner import Extractor
from astbtd.pipeline.configured_extractor import configured_store, make_extractor
from astbtd.settings import Settings
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import Store


@dataclass(frozen=True)
class Components:
    """The store and the components that work on it."""

    store: Store
    reserve: DiskReserve
    claims: Claims
    extractor: Extractor


def assemble(
    settings: Settings, check_interrupt: Callable[[], None], make_room: Callable[[int], None] = lambda _: None
) -> Components:
    """Create the components for `settings`. Raises AstbtdError if the user that gdb runs as does not exist.

    `check_interrupt` is called during long work, and raises to interrupt it. `make_room` may free disk space: it is
    called with the number of bytes that do not fit.
    """
    store = configured_store(settings)
    reserve = DiskReserve(store.root, settings.retention.minimum_free, make_room)
    extractor = make_extractor(settings, store, reserve.check, check_interrupt)
    unpacker = Unpacker(settings.unpacking, reserve.check, check_interrupt)
    user = extractor.user
    reader = user.gid if user.switched else -1
    claims = Claims(store.incoming, reader, unpacker)
    return Components(store, reserve, claims, extractor)
