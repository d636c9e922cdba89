"""What the machine tells about a crash besides its core: mapped files, upgraded packages, whether Asterisk runs again.

All other modules import the mapped files from astbtd.model.crash. Times are aware datetimes in UTC. None means unknown.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ObjectState(StrEnum):
    """What has become of a program or shared object that the process had mapped."""

    SAME = "same"
    REPLACED = "replaced"
    GONE = "gone"
    KEPT = "kept"


@dataclass(frozen=True)
class MappedFile:
    """A program or shared object that the process had mapped, compared with the file on disk."""

    path: str
    build_id: str | None
    state: ObjectState


@dataclass(frozen=True)
class ReplacedFile:
    """A mapped file that is another build now. `at` is when it was replaced, None if unknown."""

    path: str
    at: datetime | None


@dataclass(frozen=True)
class LackingSymbols:
    """A build of which a backtrace has frames without source lines.

    `debug_file` tells apart the debug files of this build: size and times of the one that gdb could read, None if there
    was none.
    """

    build_id: str
    debug_file: str | None = None


@dataclass(frozen=True)
class PbxState:
    """Whether Asterisk was running at the time `at`.

    `since` is when the running process was started. `unit` is the unit that starts Asterisk, `unit_state` its
    ActiveState and SubState, such as `activating (auto-restart)`. `restarts` counts how often the service manager
    restarted the unit automatically in the hour before `at`, `crashes` the recorded crashes of the PBX in that hour.
    """

    at: datetime
    running: bool
    since: datetime | None = None
    unit: str | None = None
    unit_state: str | None = None
    restarts: int | None = None
    crashes: int | None = None


@dataclass(frozen=True)
class Upgrade:
    """The installation of another version of a package. `before` is None if it was not installed before."""

    package: str
    before: str | None
    after: str
    at: datetime


@dataclass(frozen=True)
class BeforeCrash:
    """What does not change any more after a crash: as in Surroundings, `log` without the journal of a unit."""

    upgrade: Upgrade | None = None
    log: str = ""


@dataclass(frozen=True)
class Surroundings:
    """The surroundings of a crash. `upgrade` is the last one of Asterisk's packages before the crash, `log` log.txt."""

    pbx: PbxState | None = None
    upgrade: Upgrade | None = None
    log: str = ""


NOTHING_BEFORE = BeforeCrash()
UNKNOWN = Surroundings()
