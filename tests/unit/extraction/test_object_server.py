"""What gdb is shown: links to files that the process had mapped, whatever it asks for."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from astbtd.extraction.object_server import ObjectServer, shown

LIBRARY = "/usr/lib/libasteriskssl.so.1"


@pytest.fixture
def one(tmp_path: Path) -> Iterator[ObjectServer]:
    """A process that had one library mapped."""
    with shown(tmp_path, [LIBRARY], os.getegid()) as one:
        yield one


def ask(one: ObjectServer, *packets: bytes) -> list[bool]:
    """Whether the asking goes on after each packet."""
    going_on = []
    for packet in packets:
        one.asking.send(packet)
        going_on.append(one.answer())
    return going_on


def links(directory: Path) -> dict[str, str]:
    """All links, by their names below the directory that gdb finds in its own."""
    found = (path for path in directory.rglob("*") if path.is_symlink())
    return {str(path.relative_to(directory)): os.readlink(path) for path in found}


def test_an_object_is_shown_under_the_names_that_the_process_knew(one: ObjectServer, tmp_path: Path) -> None:
    names = (b"/usr/lib/libasteriskssl.so.1", b"/lib/libasteriskssl.so.1")

    assert ask(one, *(LIBRARY.encode() + b"\0" + name for name in names)) == [True, True]

    assert links(tmp_path / one.name) == {name.decode().lstrip("/"): LIBRARY for name in names}
    assert one.asking.recv(8) == b"\0"


def test_gdbs_group_may_read_what_is_shown_and_not_write_there(one: ObjectServer, tmp_path: Path) -> None:
    one.show(LIBRARY, LIBRARY)

    directories = [tmp_path / one.name, *(path for path in tmp_path.rglob("*") if path.is_dir())]
    assert {path.stat().st_mode & 0o777 for path in directories} == {0o750}


@pytest.mark.parametrize(
    "request_",
    [
        b"/etc/shadow\0/etc/shadow",
        f"{LIBRARY}\0../../outside".encode(),
        f"{LIBRARY}\0/../outside".encode(),
        f"{LIBRARY}\0/usr/lib/../../../outside".encode(),
        f"{LIBRARY}\0outside".encode(),
        f"{LIBRARY}\0/".encode(),
        f"{LIBRARY}\0".encode(),
        f"{LIBRARY}\0/a\0/b".encode(),
        f"{LIBRARY}\0/{'a' * 2000}".encode(),
        f"{LIBRARY}\0{'/a' * 40}".encode(),
        LIBRARY.encode(),
        b"\xff\xfe\0\xff",
    ],
)
def test_nothing_else_is_linked_and_the_question_answered(one: ObjectServer, tmp_path: Path, request_: bytes) -> None:
    assert ask(one, request_) == [True]

    assert links(tmp_path) == {}
    assert os.listdir(tmp_path) == [one.name]
    assert one.asking.recv(8) == b"\0"


def test_no_link_is_made_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "copies").mkdir()
    with shown(tmp_path / "copies", [str(outside)], os.getegid()) as one:
        one.show(str(outside), "/usr/lib")
        one.show(str(outside), "/usr/lib/inside")

    assert os.listdir(outside) == []


def test_the_asking_has_an_end(one: ObjectServer) -> None:
    going_on = True
    asked = 0
    while going_on:
        (going_on,) = ask(one, b"again\0/again")
        one.asking.recv(8)
        asked += 1

    assert asked == 2001


def test_who_does_not_take_the_answers_gets_no_more(one: ObjectServer) -> None:
    one.asking.setblocking(False)
    answered = 0
    while ask(one, b"again\0/again") == [True]:
        answered += 1

    assert answered < 2000
