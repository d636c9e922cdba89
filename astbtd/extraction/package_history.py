"""Find the last upgrade of a package before a crash, in the log of dpkg or of dnf.

Formats: dpkg(1), `--log`, in local time; /var/log/dnf.rpm.log as dnf 4 writes it, where `Upgrade` names the new version
of a package and `Upgraded` the old one.
"""

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from astbtd.lib.files import open_regular
from astbtd.model.surroundings import Upgrade

_MAX_BYTES = 4 << 20  # of each log, from its end
_ONE_RUN = timedelta(hours=1)  # the packages of one upgrade are installed within this time
_DPKG = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:upgrade|install) (?P<package>[a-z0-9][a-z0-9+.-]+)(?::\w+)? "
    r"(?P<before>\S+) (?P<after>\S+)"
)
_DNF = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[+-]\d\d:?\d\d)) \S+ (?P<verb>Installed|Upgrade|Upgraded): "
    r"(?P<package>[\w+.-]+?)-(?P<version>[^\s-]+-[^\s-]+)"
)
_NEW_PACKAGE = "<none>"


@dataclass(frozen=True)
class PackageLog:
    """A log and the older one that logrotate keeps, and the function that parses them."""

    path: Path
    parse: Callable[[Iterable[str]], Iterator[Upgrade]]

    def upgrades(self) -> Iterator[Upgrade]:
        """Yield what the log says, oldest first. A log that is missing or cannot be read says nothing."""
        for path in (self.path.with_name(f"{self.path.name}.1"), self.path):
            yield from self.parse(_read_end(path).splitlines())


def parse_dpkg(lines: Iterable[str]) -> Iterator[Upgrade]:
    """Yield the upgrades in dpkg's log."""
    for line in lines:
        found = _DPKG.fullmatch(line)
        if found and (at := _parse_time(found["at"])):
            before = None if found["before"] == _NEW_PACKAGE else found["before"]
            if before != found["after"]:
                yield Upgrade(found["package"], before, found["after"], at)


def parse_dnf(lines: Iterable[str]) -> Iterator[Upgrade]:
    """Yield the upgrades in dnf's log."""
    installed: list[Upgrade] = []
    incomplete: defaultdict[str, list[int]] = defaultdict(list)  # indices of those without a former version
    for line in lines:
        found = _DNF.fullmatch(line)
        if found is None or (at := _parse_time(found["at"])) is None:
            continue
        package, version = found["package"], found["version"]
        if found["verb"] == "Upgraded":
            incomplete[package] = _complete(installed, incomplete[package], version)
        else:
            incomplete[package].append(len(installed))
            installed.append(Upgrade(package, None, version, at))
    yield from installed


LOGS = (
    PackageLog(Path("/var/log/dpkg.log"), parse_dpkg),
    PackageLog(Path("/var/log/dnf.rpm.log"), parse_dnf),
)


def last_upgrade(package: str | None, until: datetime, logs: Iterable[PackageLog] = LOGS) -> Upgrade | None:
    """Return the last upgrade of Asterisk before `until`; None if the logs have none.

    `package` owns the program that crashed; packages whose name begins with "asterisk" count as well.
    """
    found = [each for log in logs for each in log.upgrades() if each.at <= until and _belongs(each, package)]
    latest = max((each.at for each in found), default=until)
    of_last_run = [each for each in found if latest - each.at <= _ONE_RUN]
    return min(of_last_run, key=lambda each: (each.package != package, len(each.package), each.package), default=None)


def _belongs(upgrade: Upgrade, package: str | None) -> bool:
    return upgrade.package == package or upgrade.package.startswith("asterisk")


def _complete(installed: list[Upgrade], indices: list[int], former: str) -> list[int]:
    """Add the former version to the upgrades at these indices; return the indices of those that it is not former to."""
    left = []
    for index in indices:
        if installed[index].after == former:
            left.append(index)
        else:
            installed[index] = replace(installed[index], before=former)
    return left


def _parse_time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _read_end(path: Path) -> str:
    try:
        descriptor = open_regular(path)
    except OSError:
        return ""
    try:
        size = os.fstat(descriptor).st_size
        return os.pread(descriptor, _MAX_BYTES, max(0, size - _MAX_BYTES)).decode(errors="replace")
    finally:
        os.close(descriptor)
