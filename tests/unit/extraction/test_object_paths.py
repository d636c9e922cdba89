"""Finding the program of a core on the host or below a container's root, and recognizing what is at a path."""

import os
from pathlib import Path

import pytest

from astbtd.extraction.object_paths import exists_only_in_root, is_fifo, is_named_like_object
from tests.support.builders import program

RAN, ANOTHER = b"\xab" * 20, b"\xcd" * 20


@pytest.mark.parametrize(
    ("on_host", "in_root", "expected"),
    [
        (None, RAN, True),
        (ANOTHER, RAN, True),
        (RAN, RAN, False),
        (RAN, None, False),
        (None, ANOTHER, False),
        (ANOTHER, None, False),
        (None, None, False),
    ],
)
def test_a_program_exists_only_in_the_root_if_the_host_has_no_such_build(
    tmp_path: Path, on_host: bytes | None, in_root: bytes | None, expected: bool
) -> None:
    executable, root = tmp_path / "host" / "asterisk", tmp_path / "root"
    for path, build_id in ((executable, on_host), (Path(f"{root}{executable}"), in_root)):
        path.parent.mkdir(parents=True)
        if build_id:
            path.write_bytes(program(build_id=build_id))

    assert exists_only_in_root(str(root), str(executable), RAN.hex()) is expected


@pytest.mark.parametrize(("executable", "build_id"), [(None, RAN.hex()), ("/usr/sbin/asterisk", None)])
def test_an_unknown_program_does_not_exist_in_the_root(
    tmp_path: Path, executable: str | None, build_id: str | None
) -> None:
    assert not exists_only_in_root(str(tmp_path), executable, build_id)


def test_a_fifo_at_the_path_of_a_mapped_file_is_detected(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.so")
    (tmp_path / "link.so").symlink_to(tmp_path / "pipe.so")

    found = [is_fifo(str(tmp_path / name)) for name in ("pipe.so", "link.so", "gone.so", "")]

    assert found == [True, True, False, False]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/usr/sbin/asterisk", True),
        ("/usr/lib/libc.so.6", True),
        ("/usr/lib/locale/locale-archive", False),
        ("/dev/shm/x.so", False),
        ("/memfd:x.so", False),
    ],
)
def test_objects_are_recognized_by_their_names(path: str, expected: bool) -> None:
    assert is_named_like_object(path) is expected
