"""Finds the sources that a self-built Asterisk was compiled from, and the options that configure was called with.

The debug information of an unstripped program names the directories of its source files: in DWARF 5, the strings of the
section .debug_line_str. Asterisk compiles its program in the directory `main` of its sources.
"""

import os
import re
import shlex
from collections.abc import Iterator

from astbtd.elf.elf_sections import ElfSections
from astbtd.elf.headers import NotElf
from astbtd.lib.files import open_regular
from astbtd.readiness.program_facts import SourceTree

_MAX_LOG_BYTES = 64 << 10  # the command line of configure is among the first lines of config.log
_MAIN = re.compile(rb"(?:^|\0)(/[^\0]{1,4096})/main(?=\0)")
_COMMAND_LINE = re.compile(r"^  \$ \S*configure\b(.*)$", re.MULTILINE)


def find_source_tree(sections: ElfSections) -> SourceTree | None:
    """Return the sources of a program if they are still where it was compiled, None if not."""
    for directory in _source_directories(sections):
        if os.path.isfile(os.path.join(directory, "configure")):
            return SourceTree(directory, read_configure_options(os.path.join(directory, "config.log")))
    return None


def read_configure_options(log: str) -> tuple[str, ...] | None:
    """Return the arguments of configure from its config.log, None if that is missing or something else."""
    try:
        with open(open_regular(log), "rb") as file:
            start = file.read(_MAX_LOG_BYTES).decode(errors="replace")
    except OSError:
        return None
    command_line = _COMMAND_LINE.search(start)
    if not command_line:
        return None
    try:
        return tuple(shlex.split(command_line[1]))  # autoconf quotes them for a shell
    except ValueError:
        return None


def _source_directories(sections: ElfSections) -> Iterator[str]:
    strings = sections.find(b".debug_line_str")
    if strings is None:
        return
    try:
        content = sections.content(strings)
    except NotElf:
        return
    for found in _MAIN.finditer(content):
        yield os.fsdecode(found[1])
