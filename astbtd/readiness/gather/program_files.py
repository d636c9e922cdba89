"""Looks into Asterisk's executable and modules on disk: symbols, build options, the packages that they come from."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from astbtd.elf import elf_sections, headers
from astbtd.elf.elf_sections import Sections
from astbtd.elf.headers import Read
from astbtd.errors import AstbtdError
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.extraction.script_report import built_with
from astbtd.lib import subprocesses
from astbtd.lib.safe_open import open_regular
from astbtd.model.crash import Asterisk, ExtractionOutcome
from astbtd.readiness.facts import Family, Program
from astbtd.readiness.gather.timeout import SECONDS

_DEBUG_ROOT = Path("/usr/lib/debug")  # gdb's debug-file-directory
_OF_PACKAGES = {
    Family.DEBIAN: ("dpkg-query", "--search", "--"),
    Family.RHEL: ("rpm", "--query", "--queryformat", "%{NAME}\\n", "--file", "--"),
}


@contextmanager
def read_program(path: str) -> Iterator[Read]:
    """Reads the program or shared object at a path. Raises OSError."""
    descriptor = open_regular(path)
    try:
        yield headers.file_reader(descriptor)
    finally:
        os.close(descriptor)


def program(path: str, modules: Sequence[str], family: Family, reader: SandboxUser) -> Program:
    """The executable at a path, and which packages it and the directories of its `modules` come from."""
    try:
        with read_program(path) as read:
            built, symbols = _built(elf_sections.read_sections(read)), has_symbols(path, read)
    except headers.NotElf as error:
        raise AstbtdError(f"{path} is no program: {error}") from error
    one_of_each = {os.path.dirname(module): module for module in modules}
    packages = _packages([path, *one_of_each.values()], family)
    return Program(path, symbols, reader.can_read(path), built, packages)


def has_symbols(path: str, read: Read) -> bool:
    """Whether gdb would find symbols: in the object itself, or in a separate file where it looks for one.

    The places are those of "Debugging Information in Separate Files" in gdb's manual.
    """
    sections = elf_sections.read_sections(read)
    if sections.names & {b".symtab", b".debug_info"}:
        return True
    build_id = headers.build_id(read)
    if build_id and (_DEBUG_ROOT / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug").exists():
        return True
    link = sections.named(b".gnu_debuglink")
    name = os.fsdecode(sections.content(link).partition(b"\0")[0]) if link else ""
    return bool(name) and _beside(path, os.path.basename(name))


def owners(text: str, family: Family) -> Iterator[str]:
    """The names of packages in what dpkg-query or rpm prints, between complaints about files that none owns."""
    pattern = r"([a-z0-9][a-z0-9+.-]+)(?::\w+)?: /.*" if family is Family.DEBIAN else r"([\w+.-]+)"
    return (match[1] for line in text.splitlines() if (match := re.fullmatch(pattern, line)))


def _beside(path: str, name: str) -> bool:
    directory = os.path.dirname(os.path.realpath(path))
    places = (directory, f"{directory}/.debug", f"{_DEBUG_ROOT}{directory}")
    return any(os.path.exists(os.path.join(place, name)) for place in places)


def _built(sections: Sections) -> Asterisk:
    return built_with(
        version=sections.text_returned_by(b"ast_get_version"),
        all_options=sections.text_returned_by(b"ast_get_build_opts_all"),
        abi_options=sections.text_returned_by(b"ast_get_build_opts"),
    )


def _packages(paths: Sequence[str], family: Family) -> tuple[str, ...]:
    """The packages that own these files, each once; those that none owns are left out."""
    if family is Family.OTHER:
        return ()
    try:
        finished, text = subprocesses.output([*_OF_PACKAGES[family], *paths], timeout=SECONDS / 2)
    except AstbtdError:
        return ()
    complete = finished.ended in (
        ExtractionOutcome.OK,
        ExtractionOutcome.FAILED,
    )  # failed: one of the files is nobody's
    return tuple(dict.fromkeys(owners(text, family))) if complete else ()
