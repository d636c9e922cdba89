"""Which debug files a backtrace lacks."""

import os
from pathlib import Path

import pytest

from astbtd.model.crash import LackingSymbols, Section
from astbtd.pipeline.lacking_symbols import find_lacking, lacking_builds, read_threads
from astbtd.symbols.symbol_directories import debug_file_name, debug_file_version
from tests.support.stripped_build import LIBC, MODULE, OBJECTS, PROGRAM, STRIPPED

COMPLETE = """
Thread 1 (Thread 0x7f (LWP 1)):
#0  0x00007f0000001000 in dial_exec (chan=0x0) at app_dial.c:1
#1  <signal handler called>
#2  0x0000560000001000 in pbx_exec (chan=0x0) at pbx.c:2
"""
LATER = 4e9


@pytest.mark.parametrize("section", [Section.BRIEF, Section.BACKTRACE])
def test_objects_of_frames_without_source_lines_are_lacking(tmp_path: Path, section: Section) -> None:
    (tmp_path / section).write_text(STRIPPED)

    assert lacking_builds(PROGRAM, OBJECTS, read_threads(tmp_path)) == (PROGRAM, MODULE, LIBC)


def test_nothing_is_lacking_if_all_frames_have_source_lines(tmp_path: Path) -> None:
    (tmp_path / Section.BRIEF).write_text(COMPLETE)

    assert lacking_builds(PROGRAM, OBJECTS, read_threads(tmp_path)) == ()


def test_a_crash_without_texts_lacks_nothing(tmp_path: Path) -> None:
    assert lacking_builds(PROGRAM, OBJECTS, read_threads(tmp_path)) == ()


def test_a_debug_file_that_was_there_is_noted(tmp_path: Path) -> None:
    installed = tmp_path / debug_file_name(LIBC)
    installed.parent.mkdir(parents=True)
    installed.touch()

    lacking = find_lacking([PROGRAM, MODULE, LIBC], ["/nonexistent", str(tmp_path)], LATER)

    version = debug_file_version([str(tmp_path)], LIBC, LATER)
    assert version is not None
    assert lacking == (LackingSymbols(PROGRAM), LackingSymbols(MODULE), LackingSymbols(LIBC, version))


def test_a_debug_file_that_came_after_the_start_does_not_count_yet(tmp_path: Path) -> None:
    installed = tmp_path / debug_file_name(LIBC)
    installed.parent.mkdir(parents=True)
    installed.touch()
    before = os.stat(installed).st_ctime - 1

    assert find_lacking([LIBC], [str(tmp_path)], before) == (LackingSymbols(LIBC),)
