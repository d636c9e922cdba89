"""Read a core that was recorded before: decompress it from the store, and tell what its file alone does not."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from astbtd.elf.core_notes import NotACore, read_facts
from astbtd.lib import files
from astbtd.lib.threads import run_at_idle_priority
from astbtd.model.crash import CoreFacts, Crash
from astbtd.store.core_archive import DamagedCore, Progress, decompress_core
from astbtd.store.retention.disk_reserve import DiskReserve
from astbtd.store.store import Store


@contextmanager
def opened_core(
    store: Store, crash: Crash, path: Path, group: int, reserve: DiskReserve, progress: Progress
) -> Iterator[int]:
    """Yield a descriptor of the kept core of a crash, decompressed into the file `path` in a private directory.

    It is decompressed at idle priority. Only members of `group`, gdb's, can open the descriptor again. Raise NoRoom, or
    DamagedCore if the kept core is damaged.
    """
    reserve.check(crash.core.size)
    path.unlink(missing_ok=True)
    descriptor = files.create(path, files.GROUP_READS, group)
    try:
        kept = store.kept_core(crash.id)
        run_at_idle_priority("decompression", lambda: decompress_core(kept, descriptor, progress))
        reader = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(descriptor)
    try:
        yield reader
    finally:
        os.close(reader)
        path.unlink(missing_ok=True)


def recorded_facts(core: int, crash: Crash) -> CoreFacts:
    """Return the facts of a core of a recorded crash. What depends on the original file is in the record.

    Raise DamagedCore if it is not a core.
    """
    try:
        facts = read_facts(core)
    except NotACore as error:
        raise DamagedCore(f"the core of {crash.id} cannot be read: {error}", "astbtd fsck") from error
    return replace(
        facts,
        identity=crash.core.identity,
        crashed_at=crash.crashed_at,
        process=crash.process,
        signal=crash.signal,
        truncated=crash.core.truncated,
    )
