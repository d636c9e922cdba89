"""Where the kernel writes cores, told from core_pattern."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.intake.core_pattern import Kind, parse


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
        ("|/usr/lib/systemd/systemd-coredump %P %u", Kind.PIPE, None),
        ("@/run/coredump.sock", Kind.SOCKET, None),
        ("@@/run/coredump.sock", Kind.SOCKET, None),
        ("\n", Kind.NONE, None),
    ],
)
def test_kinds_and_directories(text: str, kind: Kind, directory: str | None) -> None:
    pattern = parse(text)

    assert (pattern.kind, pattern.directory) == (kind, directory)


@pytest.mark.parametrize("text", ["core", "cores/core.%p", "/var/crash/core.%e", "/srv/100%%/core", "/srv/%%p/core"])
def test_a_fixed_directory_is_watched(text: str) -> None:
    assert parse(text).unwatched is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("|/usr/share/apport/apport %p", "hands cores to a program"),
        ("@/run/coredump.sock", "sends cores to a socket"),
        ("", "is empty"),
        ("/srv/%e/core", "names a directory that varies"),
        ("%h/core", "names a directory that varies"),
        ("/srv/%%%p/core", "names a directory that varies"),
    ],
)
def test_what_is_not_watched_is_said_with_the_reason(text: str, reason: str) -> None:
    unwatched = parse(text).unwatched

    assert unwatched is not None
    assert reason in unwatched


@given(st.text(max_size=127))
def test_any_pattern_has_a_meaning(text: str) -> None:
    pattern = parse(text)

    assert (pattern.directory is None) == (pattern.kind in (Kind.PIPE, Kind.SOCKET, Kind.NONE))
    assert pattern.unwatched != ""
