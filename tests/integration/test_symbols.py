"""Reading the symbols of only those objects in which frames lie gives what reading all of them gives."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from astbtd.model.crash import Crash, Section, Symbols
from tests.integration.conftest import extract, text
from tests.integration.test_extraction import documented, variant
from tests.support.harness import RunningDaemon, allow_cores, crash

__all__ = ["variant"]

_TEXTS = (Section.BACKTRACE, Section.THREAD1, Section.BRIEF, Section.FULL, Section.LOCKS, Section.INFO)
_NAME_BESIDE_POINTER = re.compile(r"(0x[0-9a-f]+) <\w+(?:\+\d+)?>")
_SAID_BY_GDB = re.compile(
    r"^(?:warning: .*|Do you need \"set solib-search-path\".*|\d+\t(?:in \S+|\S+: Permission denied\.))\n", re.MULTILINE
)
"""Warnings, and that it cannot read a source file, which it says in other words the second time."""
_MUSIC_ON_HOLD = re.compile(r"music_on_hold = (0x[0-9a-f]+)( <start_moh_exec>)?$", re.MULTILINE)


def core_of(how: str, programs: Path, scratch: Path) -> Path:
    """A core of the program that crashes in this way."""
    match how:
        case "threads":
            return crash(programs, scratch, "segv", "--threads", "70")
        case "recurse":
            return crash(programs, scratch, "recurse", "--stack", "64")
        case "deadlock":
            return aborted(programs, scratch, "deadlock")
        case _:
            return crash(programs, scratch, how)


def aborted(programs: Path, scratch: Path, mode: str) -> Path:
    """A core of a program that would wait for ever."""
    allow_cores()
    with subprocess.Popen([programs / "asterisk", mode], cwd=scratch, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGABRT)
    return scratch / "core"


def extracted(extracting: RunningDaemon, core: Path, symbols: Symbols) -> tuple[Crash, dict[Section, str]]:
    """The record and the texts of a core, with these symbols."""
    extracting.configure({"extract": {"symbols": str(symbols)}})
    recorded = extract(extracting, core)
    texts = {section: _SAID_BY_GDB.sub("", text(extracting, recorded, section)) for section in _TEXTS}
    extracting.store.remove(recorded.id)
    (extracting.store.root / "seen").unlink()  # as if it had not been collected yet
    return recorded, texts


def without_names(texts: dict[Section, str]) -> dict[Section, str]:
    """The texts without the names of symbols beside pointers."""
    return {section: _NAME_BESIDE_POINTER.sub(r"\1", content) for section, content in texts.items()}


@pytest.mark.parametrize("how", ["segv", "abort", "double-free", "smash", "recurse", "deadlock", "threads"])
def test_lazy_symbols_give_the_same_texts_but_for_names_beside_pointers(
    extracting: RunningDaemon, variant: Path, scratch: Path, how: str
) -> None:
    core = core_of(how, variant, scratch)
    recorded, lazy = extracted(extracting, core, Symbols.LAZY)
    reference, everything = extracted(extracting, core, Symbols.ALL)
    assert (recorded.extraction.symbols, reference.extraction.symbols) == (Symbols.LAZY, Symbols.ALL)
    assert without_names(lazy) == without_names(everything)
    assert recorded.diagnosis == reference.diagnosis


def test_a_pointer_into_an_object_without_frames_has_no_name_beside_it(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "segv")
    _, lazy = extracted(extracting, core, Symbols.LAZY)
    _, everything = extracted(extracting, core, Symbols.ALL)
    [(address, nothing)], [(same, name)] = (_MUSIC_ON_HOLD.findall(texts[Section.FULL]) for texts in (lazy, everything))
    assert (address, nothing) == (same, "")
    assert name == " <start_moh_exec>"


def test_the_header_is_the_documentations_too(extracting: RunningDaemon, programs: Path, scratch: Path) -> None:
    core = crash(programs, scratch, "segv")
    _, lazy = extracted(extracting, core, Symbols.LAZY)
    expected, _, _ = documented(core, programs / "asterisk").partition("\n#0 ")
    header, _, _ = lazy[Section.BACKTRACE].partition("\n#0 ")
    assert sorted(header.splitlines()) == sorted(line for line in expected.splitlines() if line)


def test_objects_that_gdb_cannot_read_itself_are_shown_by_their_own_names(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    subprocess.run(["cp", "-r", f"{programs}/.", scratch / "private"], check=True)
    (scratch / "private" / "modules" / "app_dial.so").chmod(0o600)
    core = crash(scratch / "private", scratch, "segv")
    _, lazy = extracted(extracting, core, Symbols.LAZY)
    assert "in do_forward (" in lazy[Section.THREAD1]


def test_where_a_frames_object_is_gone_all_symbols_are_read(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    subprocess.run(["cp", "-r", f"{programs}/.", scratch / "upgraded"], check=True)
    core = crash(scratch / "upgraded", scratch, "segv")
    (scratch / "upgraded" / "modules" / "app_dial.so").unlink()
    recorded, lazy = extracted(extracting, core, Symbols.LAZY)
    _, everything = extracted(extracting, core, Symbols.ALL)
    assert recorded.extraction.symbols is Symbols.ALL
    assert lazy == everything
