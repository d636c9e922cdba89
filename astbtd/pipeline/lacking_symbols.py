"""Which debug files would make a crash more usable: those of the objects that have frames without source lines."""

import os
from collections.abc import Iterable
from pathlib import Path

from astbtd.backtrace import parser
from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.parsed_backtrace import Thread
from astbtd.lib import files
from astbtd.model.crash import LackingSymbols, MappedFile, Section
from astbtd.symbols.symbol_directories import debug_file_version


def find_lacking(builds: Iterable[str], debug_directories: Iterable[str], began: float) -> tuple[LackingSymbols, ...]:
    """Return what a backtrace lacks, the debug files of these `builds`, with those of them that gdb could read.

    `began` is when the extraction began, in seconds since 1970: what was installed later may have come too late for it.
    """
    searched = tuple(debug_directories)
    return tuple(LackingSymbols(build, debug_file_version(searched, build, began)) for build in builds)


def lacking_builds(program: str | None, objects: Iterable[MappedFile], threads: Iterable[Thread]) -> tuple[str, ...]:
    """Return the build ids of the objects with frames for which gdb knew no source file, first `program`.

    gdb names the object of such a frame, except the program. It names it as the process did, which may be through a
    link: so the file name decides.
    """
    frames = [frame for thread in threads for frame in thread.frames if _lacks_source(frame)]
    names = {os.path.basename(frame.library) for frame in frames if frame.library}
    found = [program] if any(not frame.library for frame in frames) else []
    found += [each.build_id for each in objects if os.path.basename(each.path) in names]
    return tuple(dict.fromkeys(filter(None, found)))


def read_threads(directory: Path) -> tuple[Thread, ...]:
    """Return all threads in the texts of a crash. A gdb without Python has written backtrace.txt only."""
    brief = directory / Section.BRIEF
    return parser.parse(files.text_pieces(brief if brief.exists() else directory / Section.BACKTRACE)).threads


def _lacks_source(frame: Frame) -> bool:
    return frame.file is None and not frame.signal_handler
