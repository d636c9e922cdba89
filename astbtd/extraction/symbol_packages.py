"""Find out how debug symbols for a file are installed on this machine: in sentences with the literal commands.

Only what is known offline counts: the databases of dpkg and rpm, and the package lists that apt has downloaded. The
archives of debug symbols: https://wiki.debian.org/HowToGetABacktrace, and "Debug symbol packages" in Ubuntu's
documentation.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from astbtd.errors import AstbtdError
from astbtd.extraction.package_owner import find_package
from astbtd.lib import subprocesses
from astbtd.model.crash import ExtractionOutcome

_SECONDS = 20.0
_MAX_FILES = 8
_LIST = "/etc/apt/sources.list.d/debug.list"
_DEBIAN_ARCHIVE = re.compile(r"https?://\S+/debian(?:-security)?/? (\S+)/\S+ \S+ Packages")
_UBUNTU_ARCHIVE = re.compile(r"https?://\S+/ubuntu(?:-ports)?/? (\S+)/\S+ \S+ Packages")
_OS_RELEASE = re.compile(r'^(ID|VERSION_CODENAME)="?([\w.-]+)"?$', re.MULTILINE)


@dataclass(frozen=True)
class Distribution:
    """`id` and `codename` as in os-release(5), empty if unknown; whether dpkg or dnf manages its packages."""

    id: str
    codename: str
    has_dpkg: bool
    has_dnf: bool

    @classmethod
    def current(cls) -> "Distribution":
        """Return the distribution of this machine."""
        try:
            found = dict(_OS_RELEASE.findall(Path("/etc/os-release").read_text()))
        except OSError:
            found = {}
        tools = (os.access(f"/usr/bin/{name}", os.X_OK) for name in ("apt-cache", "dnf"))
        return cls(found.get("ID", ""), found.get("VERSION_CODENAME", ""), *tools)


@dataclass(frozen=True)
class _Package:
    """An installed package of dpkg."""

    name: str
    version: str
    source: str
    maintainer: str

    @property
    def debug_names(self) -> tuple[str, ...]:
        """The names that a package with its debug symbols may have, most likely first."""
        return f"{self.name}-dbgsym", f"{self.name}-dbg", f"{self.source}-dbg"


@dataclass(frozen=True)
class _Offer:
    """A version of a package in a configured archive: `archive` as `apt-cache madison` prints it."""

    package: str
    version: str
    archive: str


def advise_symbols(paths: Sequence[str], distribution: Distribution | None = None) -> tuple[str, ...]:
    """Return how to install the debug symbols of these files; nothing if this machine's tools do not tell."""
    distribution = distribution or Distribution.current()
    owners = {path: find_package(path) for path in list(dict.fromkeys(paths))[:_MAX_FILES]}
    packages = list(dict.fromkeys(filter(None, owners.values())))
    unowned = [path for path, package in owners.items() if package is None and path.startswith("/")]
    advice = [_build_with_symbols(unowned)] if unowned else []
    if not packages:
        return tuple(advice)
    if distribution.has_dpkg:
        return (*_advise_apt(packages, distribution), *advice)
    if distribution.has_dnf:
        return (f"Install the debug symbols: `dnf debuginfo-install {' '.join(packages)}`.", *advice)
    return ()


def _build_with_symbols(paths: Sequence[str]) -> str:
    """Return the advice for files that no package owns: they were built by hand."""
    others = f" and {len(paths) - 1} more" if len(paths) > 1 else ""
    return (
        f"No package owns {paths[0]}{others}: it was built from source. In the source directory of this build, run "
        "`make menuselect` (in 'Compiler Flags - Development', select DONT_OPTIMIZE), then `make && make install`, "
        "without stripping."
    )


def _advise_apt(names: Sequence[str], distribution: Distribution) -> Iterator[str]:
    packages = _installed(names)
    offers = _offered([name for each in packages for name in (each.name, *each.debug_names)])
    available: list[str] = []
    to_add: dict[str, list[str]] = {}
    for package in packages:
        if offer := _matching_offer(package, offers):
            available.append(f"{offer.package}={offer.version}")
        elif sources := _debug_archive(package, offers, distribution):
            to_add.setdefault(sources, []).append(f"{package.name}-dbgsym")
        else:
            yield (
                f"The configured archives have no debug symbols of {package.name} {package.version}. Ask the supplier "
                "of this package for them."
            )
    if available:
        yield f"Install the debug symbols: `apt install {' '.join(available)}`."
    for sources, wanted in to_add.items():
        yield (
            "Add the archive of debug symbols, and install them: "
            f"`echo '{sources}' >{_LIST} && apt update && apt install {' '.join(wanted)}`."
        )


def _installed(names: Sequence[str]) -> list[_Package]:
    form = "${Package}\\t${Version}\\t${source:Package}\\t${Maintainer}\\n"
    rows = (line.split("\t") for line in _ask(["dpkg-query", "--show", f"--showformat={form}", "--", *names]))
    found = {row[0]: _Package(*row) for row in rows if len(row) == 4 and row[1]}
    return [found[name] for name in names if name in found]


def _offered(names: Iterable[str]) -> list[_Offer]:
    rows = (line.split(" | ") for line in _ask(["apt-cache", "madison", *dict.fromkeys(names)]))
    return [_Offer(*map(str.strip, row)) for row in rows if len(row) == 3]


def _matching_offer(package: _Package, offers: Sequence[_Offer]) -> _Offer | None:
    """Return the debug symbols of exactly the installed version."""
    for name in package.debug_names:
        for offer in offers:
            if (offer.package, offer.version) == (name, package.version):
                return offer
    return None


def _debug_archive(package: _Package, offers: Sequence[_Offer], distribution: Distribution) -> str | None:
    """Return the line for sources.list of the archive with the debug symbols; None if the package is of another one.

    A package whose version no list has, which is so before the first `apt update`, is judged by its maintainer.
    """
    archives = [each.archive for each in offers if (each.package, each.version) == (package.name, package.version)]
    if distribution.id == "ubuntu":
        suites = [found[1] for archive in archives if (found := _UBUNTU_ARCHIVE.fullmatch(archive))]
        suite = suites[0] if suites else ""
        return f"deb http://ddebs.ubuntu.com {suite} main restricted universe multiverse" if suite else None
    if distribution.id != "debian" or "debian.org>" not in package.maintainer:
        return None
    suites = [found[1] for archive in archives if (found := _DEBIAN_ARCHIVE.fullmatch(archive))]
    if archives and not suites:
        return None
    suite = suites[0] if suites else distribution.codename
    if not suite:
        return None
    directory = "debian-security-debug" if suite.endswith("-security") else "debian-debug"
    return f"deb http://deb.debian.org/{directory} {suite}-debug main"


def _ask(argv: Sequence[str]) -> list[str]:
    """Return the lines that a command prints, messages included; none if it cannot be run."""
    try:
        finished, text = subprocesses.output(argv, timeout=_SECONDS)
    except AstbtdError:
        return []
    # The commands fail as well if they do not know one of the names.
    return text.splitlines() if finished.ended in (ExtractionOutcome.OK, ExtractionOutcome.FAILED) else []
