"""Directory globs: the directories that match, and where further matches can appear."""

import os
from pathlib import Path

import pytest

from astbtd.lib.mounts import Mounts
from astbtd.sources import glob_directories
from astbtd.sources.glob_directories import ExpandedGlob, escape


def expand(pattern: str, polled: tuple[str, ...] = ()) -> ExpandedGlob:
    return glob_directories.expand(pattern, Mounts.current(polled))


@pytest.fixture
def cores(tmp_path: Path) -> Path:
    """A directory with two subdirectories, a file and a symbolic link."""
    cores = tmp_path / "cores"
    for name in ("asterisk", "perl"):
        (cores / name).mkdir(parents=True)
    (cores / "notes").touch()
    (cores / "link").symlink_to("perl")
    return cores


def test_a_directory_without_wildcards_need_not_exist() -> None:
    assert expand("/nonexistent/cores") == ExpandedGlob(("/nonexistent/cores",), ())


def test_a_wildcard_matches_directories_but_no_files_or_links(cores: Path) -> None:
    assert expand(f"{cores}/*") == ExpandedGlob((f"{cores}/asterisk", f"{cores}/perl"), (str(cores),))
    assert expand(f"{cores}/a*k") == ExpandedGlob((f"{cores}/asterisk",), (str(cores),))


def test_the_part_after_the_last_wildcard_need_not_exist(cores: Path) -> None:
    assert expand(f"{cores}/a*/today").directories == (f"{cores}/asterisk/today",)


def test_each_directory_before_a_wildcard_is_a_parent(cores: Path) -> None:
    (cores / "perl" / "0").mkdir()

    assert expand(f"{cores}/*/*") == ExpandedGlob(
        (f"{cores}/perl/0",), (str(cores), f"{cores}/asterisk", f"{cores}/perl")
    )


def test_an_absent_directory_before_a_wildcard_is_a_parent() -> None:
    assert expand("/nonexistent/*") == ExpandedGlob((), ("/nonexistent",))


@pytest.mark.parametrize("name", ["a*", "[pbx]", "what?"])
def test_an_escaped_directory_matches_only_itself(tmp_path: Path, name: str) -> None:
    for made in (name, "abc", "p", "whatx"):
        (tmp_path / made).mkdir()

    assert expand(escape(os.path.join(tmp_path, name))).directories == (os.path.join(tmp_path, name),)


def test_the_number_of_matches_is_limited(tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"{number}").mkdir()

    assert len(expand(f"{tmp_path}/*").directories) == 256


def test_directories_on_remote_file_systems_are_not_listed(cores: Path) -> None:
    assert expand(f"{cores}/*", (str(cores),)) == ExpandedGlob((), (), (str(cores),))
    assert expand(f"{cores}/perl", (str(cores),)).directories == (f"{cores}/perl",)
