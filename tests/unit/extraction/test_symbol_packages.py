"""How debug symbols are installed here: only packages that this distribution has, with literal commands."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from astbtd.extraction import symbol_packages
from astbtd.extraction.symbol_packages import Distribution, advise_symbols

ASTERISK = "/usr/sbin/asterisk"
LIBC = "/usr/lib/x86_64-linux-gnu/libc.so.6"
MODULE = "/usr/lib/asterisk/modules/app_mine.so"
DEBIAN = Distribution("debian", "forky", has_dpkg=True, has_dnf=False)
UBUNTU = Distribution("ubuntu", "noble", has_dpkg=True, has_dnf=False)
FEDORA = Distribution("fedora", "", has_dpkg=False, has_dnf=True)
VERSION = "1:22.10.1-1"
TEAM = "Debian VoIP Team <pkg-voip-maintainers@lists.alioth.debian.org>"
FORKY = "http://deb.debian.org/debian forky/main amd64 Packages"

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with asterisk and libc6 installed, and these lines of `apt-cache madison`."""

    def use(*offers: str, owners: Mapping[str, str] | None = None, maintainer: str = TEAM) -> None:
        owned = {ASTERISK: "asterisk", LIBC: "libc6"} if owners is None else owners
        installed = [f"asterisk\t{VERSION}\tasterisk\t{maintainer}", f"libc6\t2.42-1\tglibc\t{maintainer}"]

        def ask(argv: Sequence[str]) -> list[str]:
            return [line for line in installed if line.split()[0] in argv] if argv[0] == "dpkg-query" else list(offers)

        monkeypatch.setattr(symbol_packages, "find_package", owned.get)
        monkeypatch.setattr(symbol_packages, "_ask", ask)

    return use


def offer(package: str, version: str = VERSION, archive: str = FORKY) -> str:
    return f" {package} | {version} | {archive}"


def test_symbols_that_a_configured_archive_has_are_named_with_their_version(machine: Machine) -> None:
    machine(offer("asterisk"), offer("asterisk-dbgsym"), offer("libc6-dbg", "2.42-1"))

    assert advise_symbols([ASTERISK, LIBC, ASTERISK], DEBIAN) == (
        f"Install the debug symbols: `apt install asterisk-dbgsym={VERSION} libc6-dbg=2.42-1`.",
    )


def test_symbols_of_another_version_are_not_named(machine: Machine) -> None:
    machine(offer("asterisk"), offer("asterisk-dbgsym", "1:22.9.0-1"))

    [advice] = advise_symbols([ASTERISK], DEBIAN)

    assert "22.9.0" not in advice


@pytest.mark.parametrize(
    ("archive", "line"),
    [
        (FORKY, "deb http://deb.debian.org/debian-debug forky-debug main"),
        (
            "http://security.debian.org/debian-security trixie-security/main amd64 Packages",
            "deb http://deb.debian.org/debian-security-debug trixie-security-debug main",
        ),
        (
            "https://ftp.de.debian.org/debian/ bookworm-backports/main amd64 Packages",
            "deb http://deb.debian.org/debian-debug bookworm-backports-debug main",
        ),
    ],
)
def test_a_missing_archive_of_debian_is_given_as_a_line(machine: Machine, archive: str, line: str) -> None:
    machine(offer("asterisk", archive=archive))

    [advice] = advise_symbols([ASTERISK], DEBIAN)

    assert f"`echo '{line}' >/etc/apt/sources.list.d/debug.list && apt update && apt install asterisk-dbgsym`" in advice


def test_before_the_first_update_a_package_of_debian_is_known_by_its_maintainer(machine: Machine) -> None:
    machine()

    assert "debian-debug forky-debug main" in advise_symbols([ASTERISK], DEBIAN)[0]


@pytest.mark.parametrize(
    ("offers", "maintainer"),
    [
        ((offer("asterisk", archive="http://deb.freepbx.org/freepbx17-prod bookworm/main amd64 Packages"),), TEAM),
        ((), "Sangoma Technologies <support@sangoma.com>"),
    ],
)
def test_no_package_is_named_for_a_package_of_another_supplier(
    machine: Machine, offers: tuple[str, ...], maintainer: str
) -> None:
    machine(*offers, maintainer=maintainer)

    assert advise_symbols([ASTERISK], DEBIAN) == (
        f"The configured archives have no debug symbols of asterisk {VERSION}. Ask the supplier of this package for "
        "them.",
    )


def test_ubuntu_has_an_archive_of_its_own(machine: Machine) -> None:
    machine(offer("asterisk", archive="http://archive.ubuntu.com/ubuntu noble/universe amd64 Packages"))

    assert "deb http://ddebs.ubuntu.com noble main restricted universe" in advise_symbols([ASTERISK], UBUNTU)[0]


def test_dnf_finds_debug_symbols_itself(machine: Machine) -> None:
    machine()

    assert advise_symbols([ASTERISK], FEDORA) == ("Install the debug symbols: `dnf debuginfo-install asterisk`.",)


def test_a_file_without_a_package_was_built_from_source(machine: Machine) -> None:
    machine(owners={})

    [advice] = advise_symbols([ASTERISK, MODULE], DEBIAN)

    assert advice.startswith(f"No package owns {ASTERISK} and 1 more: it was built from source.")
    assert "`make menuselect`" in advice


def test_the_packages_of_an_unknown_distribution_are_not_guessed(machine: Machine) -> None:
    machine()

    assert advise_symbols([ASTERISK], Distribution("void", "", has_dpkg=False, has_dnf=False)) == ()


@pytest.mark.skipif(shutil.which("apt-cache") is None, reason="no apt")
def test_the_real_tools_know_the_c_library() -> None:
    libc = next(path for path in map(str, Path("/usr/lib").glob("*/libc.so.6")))

    [advice] = advise_symbols([libc])

    assert "libc6-dbg" in advice or "supplier" in advice
