"""Where the program of a core is found: on this machine, or below a container's root; and what is none."""

import os
from pathlib import Path

import pytest

from astbtd.extraction.shared_objects import is_only_below, is_pipe
from tests.support.builders import program

RAN, ANOTHER = b"\xab" * 20, b"\xcd" * 20


@pytest.mark.parametrize(
    ("here", "below", "only_below"),
    [
        (None, RAN, True),
        (ANOTHER, RAN, True),
        (RAN, RAN, False),
        (RAN, None, False),
        (None, ANOTHER, False),  # then neither is it, and what is said of this machine is said
        (ANOTHER, None, False),
        (None, None, False),
    ],
)
def test_it_is_only_below_where_nothing_but_that_is_of_its_build(
    tmp_path: Path, here: bytes | None, below: bytes | None, only_below: bool
) -> None:
    executable, root = tmp_path / "here" / "asterisk", tmp_path / "root"
    for path, build_id in ((executable, here), (Path(f"{root}{executable}"), below)):
        path.parent.mkdir(parents=True)
        if build_id:
            path.write_bytes(program(build_id=build_id))

    assert is_only_below(str(root), str(executable), RAN.hex()) is only_below


@pytest.mark.parametrize(("executable", "build_id"), [(None, RAN.hex()), ("/usr/sbin/asterisk", None)])
def test_what_is_not_known_is_looked_for_nowhere(tmp_path: Path, executable: str | None, build_id: str | None) -> None:
    assert not is_only_below(str(tmp_path), executable, build_id)


def test_a_fifo_in_the_place_of_a_mapped_file_is_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.so")
    (tmp_path / "link.so").symlink_to(tmp_path / "pipe.so")

    told = [is_pipe(str(tmp_path / name)) for name in ("pipe.so", "link.so", "gone.so", "")]
    assert told == [True, True, False, False]
