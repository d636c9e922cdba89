"""Real builds: extraction of a core of each built Asterisk whose image has been made, and of Debian's stripped package.

A command is measured as a whole: all processes that it starts, and the start of its interpreter.
"""

import os
import re
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cores import another
from tests.bench.figures import Theme
from tests.bench.usage import TICK, Usage, run
from tests.support.containers.asterisk import CORE, Asterisk, Crash
from tests.support.containers.asterisk import UNIT as ASTERISK_UNIT
from tests.support.containers.asterisk_builds import BOOKWORM_DEBUG, BUILDS, FORKY_DEBUG, Build, is_built
from tests.support.containers.built_asterisk import BuiltAsterisk
from tests.support.containers.container import Container, wait_until
from tests.support.containers.service import STORE, UNIT, Service
from tests.support.kernel import cores_in_working_directory

_ROUNDS, _STARTS = 15, 3
_PROGRAM, _OUTPUT, _SPOOL, _STAGING = "/usr/sbin/asterisk", "/var/tmp/output", "/tmp", "/tmp/staging"
_BOOK = ("bt full", "thread apply all bt")
_SAME_SECTIONS = ("bt", "bt full", "thread apply all bt", "thread apply all bt full")
_ALL_MODULES = "[modules]\nautoload=yes\n"
# All crashes here are at one site.
_CONFIGURATION = f"""\
watch: {{directories: [{_SPOOL}]}}
cores: {{action: delete}}
crash_loop: {{crashes: 1000, within: 1s}}
"""
_LIMITS = {FORKY_DEBUG: ("≤ 0.40", ""), BOOKWORM_DEBUG: ("≤ 0.60", "≤ 0.28")}
_PACKAGE_LIMITS = ("≤ 0.65", "")
"""The required ratios to the documentation's command, and to gdb with the same sections."""

_SECONDS = 120
_SETTLING = 5  # seconds in which the service uses no CPU time, after `check`, which it runs, has ended


@dataclass(frozen=True)
class _Round:
    """The use of each command for one core."""

    book: Usage
    same_sections: Usage
    command: Usage
    daemon: Usage


@dataclass(frozen=True)
class _Crashed:
    """A core in a container. `limits` are the required ratios."""

    container: Container
    core: str
    name: str
    limits: tuple[str, str]


def measure() -> Iterator[Theme]:
    """Measure each build of which there is an image, then the package."""
    with cores_in_working_directory():
        for build in filter(is_built, BUILDS):
            with BuiltAsterisk.booted(build) as pbx:
                yield _measure(_crash_build(pbx, build))
        with Container.booted() as container:
            yield _measure(_crash_package(container))


def _crash_build(pbx: BuiltAsterisk, build: Build) -> _Crashed:
    """Let a build crash with all modules and calls."""
    pbx.container.write("/etc/asterisk/modules.conf", _ALL_MODULES)
    pid = pbx.start()
    pbx.start_calls()
    name = f"{build.name}, {_size(pbx.container, pid)}"
    pbx.console("scene segv")
    return _Crashed(pbx.container, pbx.wait_for_core(), name, _LIMITS.get(build, ("", "")))


def _crash_package(container: Container) -> _Crashed:
    """Let Debian's Asterisk crash as it is installed."""
    asterisk = Asterisk(container)
    Service(container).install()
    asterisk.install_crash_module()
    name = f"forky, stripped package, {_size(container, asterisk.main_pid())}"
    asterisk.crash(Crash.SEGV)
    container.run("systemctl", "stop", ASTERISK_UNIT)
    return _Crashed(container, CORE, name, _PACKAGE_LIMITS)


def _size(container: Container, pid: int) -> str:
    """Return how many shared objects a process of a container has mapped, and its number of threads."""
    process = _root(container) / f"proc/{pid}"
    objects = set(re.findall(r"/\S+\.so\S*", (process / "maps").read_text()))
    return f"{len(objects)} shared objects, {len(os.listdir(process / 'task'))} threads"


def _measure(crashed: _Crashed) -> Theme:
    theme = Theme(crashed.name, [])
    with_daemon = _Daemon(crashed.container, crashed.core)
    with_daemon.start()
    rounds = [_round(crashed, with_daemon) for _ in range(_ROUNDS)]
    _compare(theme, crashed.limits, rounds)
    firsts, laters = zip(*(with_daemon.first_and_later() for _ in range(_STARTS)), strict=True)
    theme.compare("CPU of the first crash after a start", firsts, "s", ("the next one", laters), "≤ 1.3")
    return theme


def _round(crashed: _Crashed, with_daemon: "_Daemon") -> _Round:
    container, core = crashed.container, crashed.core
    container.run("rm", "--recursive", "--force", _OUTPUT)
    return _Round(
        book=_run(container, *_gdb(core, _BOOK)),
        command=_run(container, "astbtd", "extract", "--output", _OUTPUT, core),
        same_sections=_run(container, *_gdb(core, _SAME_SECTIONS)),
        daemon=with_daemon.collect(),
    )


def _compare(theme: Theme, limits: tuple[str, str], rounds: list[_Round]) -> None:
    to_book, to_same = limits
    book = [each.book for each in rounds]
    same = [each.same_sections for each in rounds]
    for name, used in (("command", [each.command for each in rounds]), ("daemon", [each.daemon for each in rounds])):
        for what, seconds in (("wall", _walls), ("CPU", _cpus)):
            theme.compare(f"{what}, {name}", seconds(used), "s", ("documentation's command", seconds(book)), to_book)
            theme.compare(f"{what}, {name}", seconds(used), "s", ("gdb, same sections", seconds(same)), to_same)
    peaks = [each.command.peak / 2**20 for each in rounds]
    theme.compare(
        "peak memory", peaks, "MiB", ("documentation's command", [each.peak / 2**20 for each in book]), "≤ 0.5"
    )


def _walls(used: list[Usage]) -> list[float]:
    return [each.wall for each in used]


def _cpus(used: list[Usage]) -> list[float]:
    return [each.cpu for each in used]


def _gdb(core: str, commands: tuple[str, ...]) -> list[str]:
    return ["gdb", "-se", _PROGRAM, *(word for each in commands for word in ("-ex", each)), "--batch", "-c", core]


def _run(container: Container, *argv: str) -> Usage:
    return run(container.command(*argv))


def _root(container: Container) -> Path:
    """Return the root directory of the container, as this machine sees it."""
    return Path(f"/proc/{container.init}/root")


class _Daemon:
    """The service in the container, and copies of one core for it, as if of other processes."""

    def __init__(self, container: Container, core: str) -> None:
        self._container = container
        self._root = _root(container)
        self._core = self._root / core.lstrip("/")
        self._crashes = self._root / STORE.lstrip("/") / "crashes"
        self._spool = self._root / _SPOOL.lstrip("/")
        self._staging = self._root / _STAGING.lstrip("/")
        self._count = 0
        container.run("mkdir", _STAGING)
        Service(container).configure(_CONFIGURATION)

    def start(self) -> None:
        """Start the service again, and wait until it has done what it does after a start."""
        self._container.run("systemctl", "restart", UNIT)
        before = -1.0
        while self._has_children() or self._cpu() > before:
            before = self._cpu()
            time.sleep(_SETTLING)

    def collect(self) -> Usage:
        """Let the daemon collect a core; its memory is not measured. The wall time ends when the record is visible."""
        self._count += 1
        waiting = another(self._core, self._staging / "core", self._count)
        owner = self._core.stat()
        os.chown(waiting, owner.st_uid, owner.st_gid)
        before, appeared = self._cpu(), time.time()
        waiting.rename(self._spool / "core")
        wait_until(lambda: len(os.listdir(self._crashes)) == self._count, "the core is recorded", _SECONDS)
        committed = self._crashes.stat().st_mtime
        wait_until(lambda: not (self._spool / "core").exists(), "the core is removed", _SECONDS)
        return Usage(committed - appeared, self._cpu() - before, 0)

    def first_and_later(self) -> tuple[float, float]:
        """Return the CPU time for the first crash after a start, and the median for the next ones."""
        self.start()
        first = self.collect().cpu
        return first, statistics.median(self.collect().cpu for _ in range(3))

    def _cpu(self) -> float:
        """Return the CPU time of the daemon and of its children that have ended."""
        fields = (self._process() / "stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / TICK

    def _has_children(self) -> bool:
        return any(task.read_text() for task in self._process().glob("task/*/children"))

    def _process(self) -> Path:
        """Return the directory of the daemon in /proc of the container."""
        return self._root / "proc" / Service(self._container).property("MainPID")
