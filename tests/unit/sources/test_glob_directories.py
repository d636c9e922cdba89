"""Directories whose names vary: those that are there, and where the others will be made."""

import os
from pathlib import Path

import pytest

from astbtd.lib.mounts import Mounts
from astbtd.sources import glob_directories
from astbtd.sources.glob_directories import ExpandedGlob, literal


def expand(pattern: str, polled: tuple[str, ...] = ()) -> ExpandedGlob:
    return glob_directories.expand(pattern, Mounts.now(polled))


@pytest.fixture
def cores(tmp_path: Path) -> Path:
    """A directory with one for each of two programs, a file and a link beside them."""
    cores = tmp_path / "cores"
    for name in ("asterisk", "perl"):
        (cores / name).mkdir(parents=True)
    (cores / "notes").touch()
    (cores / "link").symlink_to("perl")
    return cores


def test_a_directory_that_does_not_vary_need_not_exist() -> None:
    assert expand("/nonexistent/cores") == ExpandedGlob(("/nonexistent/cores",), ())


def test_a_part_that_varies_stands_for_every_directory_that_matches(cores: Path) -> None:
    assert expand(f"{cores}/*") == ExpandedGlob((f"{cores}/asterisk", f"{cores}/perl"), (str(cores),))
    assert expand(f"{cores}/a*k") == ExpandedGlob((f"{cores}/asterisk",), (str(cores),))


def test_what_follows_need_not_exist_yet(cores: Path) -> None:
    assert expand(f"{cores}/a*/today").directories == (f"{cores}/asterisk/today",)


def test_where_several_parts_vary_new_directories_may_come_at_each(cores: Path) -> None:
    (cores / "perl" / "0").mkdir()

    assert expand(f"{cores}/*/*") == ExpandedGlob(
        (f"{cores}/perl/0",), (str(cores), f"{cores}/asterisk", f"{cores}/perl")
    )


def test_what_is_absent_or_unreadable_is_where_directories_may_come() -> None:
    assert expand("/nonexistent/*") == ExpandedGlob((), ("/nonexistent",))


@pytest.mark.parametrize("name", ["a*", "[pbx]", "what?"])
def test_a_directory_of_that_very_name_is_meant(tmp_path: Path, name: str) -> None:
    for made in (name, "abc", "p", "whatx"):
        (tmp_path / made).mkdir()

    assert expand(literal(os.path.join(tmp_path, name))).directories == (os.path.join(tmp_path, name),)


def test_there_is_an_end_to_what_is_watched(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}").mkdir()

    assert len(expand(f"{tmp_path}/*").directories) == 256


def test_on_file_systems_that_others_serve_nobody_looks_what_there_is(cores: Path) -> None:
    assert expand(f"{cores}/*", (str(cores),)) == ExpandedGlob((), (), (str(cores),))
    assert expand(f"{cores}/perl", (str(cores),)).directories == (f"{cores}/perl",)
