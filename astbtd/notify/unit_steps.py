"""What the two units of the notifications do, put together for a machine and its settings."""

import hashlib
import hmac
import platform
import random
from dataclasses import dataclass
from pathlib import Path

from astbtd.lib.failure_notes import FailureNotes
from astbtd.lib.notify_settings import Attached
from astbtd.notify.delivery import Delivery, Log, SystemClock
from astbtd.notify.failing_checks import FailingChecks
from astbtd.notify.secrets import Secrets
from astbtd.notify.sink_state import SinkStates
from astbtd.notify.sinks.configured import audiences, configured_sinks, sink_names
from astbtd.notify.spool import Spool
from astbtd.notify.spool_step import SpoolStep
from astbtd.settings import Settings
from astbtd.store.store import Store

_MACHINE_ID = Path("/etc/machine-id")
_RUNTIME_DIRECTORIES = Path("/run")
SPOOL_STEP, DELIVERY_STEP = "spool", "delivery"
"""The names of the steps in the notes about what they fail at."""

_APPLICATION = "astbtd notifications"  # machine-id(5): the id itself must not be told to others


@dataclass(frozen=True)
class UnitSteps:
    """The directories and the two steps, for `settings`."""

    settings: Settings

    @property
    def states(self) -> SinkStates:
        """The states of the sinks, in the directory of the networked unit."""
        return SinkStates(Path(self.settings.notify.directory))

    @property
    def spool(self) -> Spool:
        """The spool, in the directory of the unit that reads the store."""
        directory = Path(self.settings.notify.directory)
        return Spool(directory.with_name(f"{directory.name}-spool"))

    def failure_notes(self) -> list[FailureNotes]:
        """Return the notes about the steps of both units."""
        units = ((self.spool.root, SPOOL_STEP), (self.states.directory, DELIVERY_STEP))
        return [FailureNotes(_RUNTIME_DIRECTORIES / root.name / f"{step}.json") for root, step in units]

    def lowest_mark(self) -> str:
        """Return the newest entry of the spool that every sink is done with. Raise AstbtdError."""
        return self.states.lowest_mark(sink_names(self.settings.notify))

    def count_failed(self) -> int:
        """Return how many notifications were refused, or wait for a sink that was given up. Raise AstbtdError."""
        delivery = self.delivery(lambda *_: None)
        count = 0
        for sink in configured_sinks(self.settings.notify, Secrets()):
            state = self.states.read(sink.name)
            count += state.refused
            if state.given_up is not None:
                count += sum(1 for _ in delivery.waiting(sink))
        return count

    def spool_step(self, checks: FailingChecks | None) -> SpoolStep:
        """Return the step that reads the store."""
        return SpoolStep(
            store=Store(Path(self.settings.store)),
            spool=self.spool,
            loops=self.settings.crash_loop,
            audiences=audiences(self.settings.notify),
            machine=machine_name(),
            host=platform.node(),
            checks=checks,
            attach=self.settings.notify.sentry.attach is Attached.REDACTED,
        )

    def delivery(self, log: Log) -> Delivery:
        """Return the step that delivers."""
        return Delivery(self.spool, self.states, SystemClock(), random.SystemRandom().random, log)


def machine_name(file: Path = _MACHINE_ID) -> str:
    """Return what tells this machine from others of the same name: made of its id, which cannot be found from it.

    Without an id it is made of the name of the host.
    """
    try:
        identity = file.read_bytes().strip()
    except OSError:
        identity = b""
    key = identity or platform.node().encode()
    return hmac.new(key, _APPLICATION.encode(), hashlib.sha256).hexdigest()[:32]
