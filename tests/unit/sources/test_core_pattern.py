"""Where the kernel writes cores, according to core_pattern."""

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
def test_a_directory_with_specifiers_can_be_watched(text: str) -> None:
    assert parse(text).unwatched_reason is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("|/usr/local/bin/keep-core %p", "pipes cores to a program: add the directory"),
        ("@/run/keep.sock", "sends cores to a socket: add the directory"),
        ("", "is empty"),
    ],
)
def test_the_reason_is_given_if_no_directory_can_be_watched(text: str, reason: str) -> None:
    reason_found = parse(text).unwatched_reason

    assert reason_found is not None
    assert reason in reason_found


def test_with_an_empty_pattern_cores_are_named_after_the_pid() -> None:
    pattern = parse("", uses_pid=True)

    assert (pattern.kind, pattern.directory, pattern.unwatched_reason) == (Kind.RELATIVE, ".", None)
    assert pattern.matches(".4242")


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
def test_file_names_that_match_the_pattern(text: str, uses_pid: bool, name: str, named: bool) -> None:
    assert parse(text, uses_pid=uses_pid).matches(name) == named


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
def test_the_helper_or_socket_of_a_pattern(text: str, helper: str | None, socket: str | None) -> None:
    pattern = parse(text)

    assert (pattern.helper, pattern.socket) == (helper, socket)


@given(st.text(max_size=127))
def test_every_pattern_can_be_parsed(text: str) -> None:
    pattern = parse(text)

    assert (pattern.directory is None) == (pattern.kind in (Kind.PIPE, Kind.SOCKET, Kind.NONE))
    assert pattern.unwatched_reason != ""
