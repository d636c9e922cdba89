"""Where the kernel writes cores, told from core_pattern."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.sources.core_pattern import Kind, parse


@pytest.mark.parametrize(
    ("text", "kind", "directory"),
    [
        ("core\n", Kind.RELATIVE, "."),
        ("core.%e.%p", Kind.RELATIVE, "."),
        ("cores/core.%p", Kind.RELATIVE, "cores"),
        ("../core", Kind.RELATIVE, ".."),
        ("/var/crash/core.%E.%t", Kind.ABSOLUTE, "/var/crash"),
        ("/core", Kind.ABSOLUTE, "/"),
        ("/srv/100%%/core", Kind.ABSOLUTE, "/srv/100%"),
        ("/srv/%e/core", Kind.ABSOLUTE, "/srv/*"),
        ("/srv/%%%p/%q%", Kind.ABSOLUTE, "/srv/%*"),
        ("/srv/[pbx]/core", Kind.ABSOLUTE, "/srv/[[]pbx]"),
        ("%h/core", Kind.RELATIVE, "*"),
        ("|/usr/lib/systemd/systemd-coredump %P %u", Kind.PIPE, None),
        ("@/run/coredump.sock", Kind.SOCKET, None),
        ("@@/run/coredump.sock", Kind.SOCKET, None),
        ("\n", Kind.NONE, None),
    ],
)
def test_kinds_and_directories(text: str, kind: Kind, directory: str | None) -> None:
    pattern = parse(text)

    assert (pattern.kind, pattern.directory) == (kind, directory)


@pytest.mark.parametrize("text", ["core", "cores/core.%p", "/var/crash/core.%e", "/srv/%e/core", "%h/core"])
def test_a_directory_is_watched_even_if_it_varies(text: str) -> None:
    assert parse(text).unwatched is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("|/usr/local/bin/keep-core %p", "hands cores to a program: name in watch.directories"),
        ("@/run/keep.sock", "sends cores to a socket: name in watch.directories"),
        ("", "is empty"),
    ],
)
def test_what_is_not_watched_is_said_with_the_reason(text: str, reason: str) -> None:
    unwatched = parse(text).unwatched

    assert unwatched is not None
    assert reason in unwatched


def test_without_a_pattern_the_kernel_names_cores_by_the_pid_alone() -> None:
    pattern = parse("", uses_pid=True)

    assert (pattern.kind, pattern.directory, pattern.unwatched) == (Kind.RELATIVE, ".", None)
    assert pattern.names(".4242")


@pytest.mark.parametrize(
    ("text", "uses_pid", "name", "named"),
    [
        ("core", False, "core", True),
        ("core", False, "core.4242", False),
        ("core", True, "core.4242", True),
        ("/tmp/core-%e-%t", False, "core-asterisk-1795388813", True),
        ("/tmp/core-%e-%t", False, "upload-1795388813", False),
        ("/srv/%e/%p.core", False, "4242.core", True),
        ("|/usr/bin/keep", False, "core", False),
    ],
)
def test_the_names_that_the_kernel_gives(text: str, uses_pid: bool, name: str, named: bool) -> None:
    assert parse(text, uses_pid=uses_pid).names(name) == named


@pytest.mark.parametrize(
    ("text", "helper", "socket"),
    [
        ("|/usr/lib/systemd/systemd-coredump %P %u", "systemd-coredump", None),
        ("| /usr/share/apport/apport -p%p", "apport", None),
        ("|", None, None),
        ("@/run/keep.sock", None, "/run/keep.sock"),
        ("@@/run/systemd/coredump.sock", None, "/run/systemd/coredump.sock"),
        ("core", None, None),
    ],
)
def test_who_is_handed_the_cores(text: str, helper: str | None, socket: str | None) -> None:
    pattern = parse(text)

    assert (pattern.helper, pattern.socket) == (helper, socket)


@given(st.text(max_size=127))
def test_any_pattern_has_a_meaning(text: str) -> None:
    pattern = parse(text)

    assert (pattern.directory is None) == (pattern.kind in (Kind.PIPE, Kind.SOCKET, Kind.NONE))
    assert pattern.unwatched != ""
