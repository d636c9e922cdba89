"""Inspects the executable and the modules of Asterisk on disk: symbols, build options, packages."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from astbtd.elf import elf_sections, headers
from astbtd.elf.elf_sections import ElfSections
from astbtd.elf.headers import Read
from astbtd.errors import AstbtdError
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.extraction.script_report import parse_build
from astbtd.extraction.symbol_packages import advise_symbols
from astbtd.lib import subprocesses
from astbtd.lib.files import open_regular
from astbtd.model.crash import Asterisk, ExtractionOutcome
from astbtd.readiness.facts import Family
from astbtd.readiness.gather.source_tree import find_source_tree
from astbtd.readiness.gather.timeout import SECONDS
from astbtd.readiness.program_facts import Program

_DEBUG_ROOT = Path("/usr/lib/debug")  # gdb's debug-file-directory
_QUERY_PACKAGES = {
    Family.DEBIAN: ("dpkg-query", "--search", "--"),
    Family.RHEL: ("rpm", "--query", "--queryformat", "%{NAME}\\n", "--file", "--"),
}


@contextmanager
def open_elf(path: str) -> Iterator[Read]:
    """Open a program or shared object; yield a function that reads it. Raise OSError."""
    descriptor = open_regular(path)
    try:
        yield headers.file_reader(descriptor)
    finally:
        os.close(descriptor)


def inspect_program(path: str, modules: Sequence[str], family: Family, gdb_user: SandboxUser) -> Program:
    """Return the executable at a path, with the packages that own it and the directories of its `modules`."""
    try:
        with open_elf(path) as read:
            sections = elf_sections.read_sections(read)
            built, source = _read_build(sections), find_source_tree(sections)
            symbols, exports = find_symbols(path, read), sections.exports_functions()
    except headers.NotElf as error:
        raise AstbtdError(f"{path} is not a program: {error}") from error
    one_per_directory = {os.path.dirname(module): module for module in modules}
    packages = _find_packages([path, *one_per_directory.values()], family)
    stripped = [each for each in (path, *one_per_directory.values()) if not has_symbols(each)]
    return Program(
        path=path,
        symbols=symbols,
        readable=gdb_user.can_read(path),
        built=built,
        packages=packages,
        source=source,
        exports_functions=exports,
        symbols_advice=advise_symbols(stripped) if stripped else (),
    )


def has_symbols(path: str) -> bool:
    """Return True if gdb would find symbols of a file, also if the file cannot be read."""
    try:
        with open_elf(path) as read:
            return find_symbols(path, read)
    except (OSError, headers.NotElf):
        return True


def find_symbols(path: str, read: Read) -> bool:
    """Return True if gdb would find symbols, in the object itself or in a separate file.

    The locations are those of "Debugging Information in Separate Files" in gdb's manual.
    """
    sections = elf_sections.read_sections(read)
    if sections.names & {b".symtab", b".debug_info"}:
        return True
    build_id = headers.build_id(read)
    if build_id and (_DEBUG_ROOT / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug").exists():
        return True
    link = sections.find(b".gnu_debuglink")
    if link is None:
        return False
    name = os.fsdecode(sections.content(link).partition(b"\0")[0])
    return bool(name) and _linked_file_exists(path, os.path.basename(name))


def parse_owners(text: str, family: Family) -> Iterator[str]:
    """Yield the package names in the output of dpkg-query or rpm; ignore errors about files without a package."""
    pattern = r"([a-z0-9][a-z0-9+.-]+)(?::\w+)?: /.*" if family is Family.DEBIAN else r"([\w+.-]+)"
    for line in text.splitlines():
        match = re.fullmatch(pattern, line)
        if match:
            yield match[1]


def _linked_file_exists(path: str, name: str) -> bool:
    """Return True if the file of a .gnu_debuglink exists."""
    directory = os.path.dirname(os.path.realpath(path))
    locations = (directory, f"{directory}/.debug", f"{_DEBUG_ROOT}{directory}")
    return any(os.path.exists(os.path.join(location, name)) for location in locations)


def _read_build(sections: ElfSections) -> Asterisk:
    return parse_build(
        version=sections.returned_text(b"ast_get_version"),
        all_options=sections.returned_text(b"ast_get_build_opts_all"),
        abi_options=sections.returned_text(b"ast_get_build_opts"),
    )


def _find_packages(paths: Sequence[str], family: Family) -> tuple[str, ...]:
    """Return the packages that own these files, without duplicates; files without a package are ignored."""
    if family is Family.OTHER:
        return ()
    try:
        finished, text = subprocesses.output([*_QUERY_PACKAGES[family], *paths], timeout=SECONDS / 2)
    except AstbtdError:
        return ()
    # The command also fails if no package owns one of the files.
    if finished.ended not in (ExtractionOutcome.OK, ExtractionOutcome.FAILED):
        return ()
    return tuple(dict.fromkeys(parse_owners(text, family)))
