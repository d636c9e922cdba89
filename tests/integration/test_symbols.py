"""Reading only the symbols of objects that contain frames gives the same text as reading all symbols."""

import re
import signal
import subprocess
from pathlib import Path

import pytest

from astbtd.model.crash import Crash, Section, Symbols
from tests.support.commands import extract, section_text
from tests.support.extractions import BUILD_OPTIONS, build_variant, run_documented_command, without_pointer_names
from tests.support.harness import RunningDaemon, allow_cores, crash

_TEXTS = (Section.BACKTRACE, Section.THREAD1, Section.BRIEF, Section.FULL, Section.LOCKS, Section.INFO)
_GDB_MESSAGES = re.compile(
    r"^(?:warning: .*|Do you need \"set solib-search-path\".*|\d+\t(?:in \S+|\S+: Permission denied\.))\n", re.MULTILINE
)
"""Warnings, and that a source file cannot be read, which gdb words differently the second time."""
_MUSIC_ON_HOLD = re.compile(r"music_on_hold = (0x[0-9a-f]+)( <start_moh_exec>)?$", re.MULTILINE)


@pytest.fixture(scope="module", params=BUILD_OPTIONS)
def variant(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs in different builds."""
    return build_variant(tmp_path_factory.mktemp(request.param), request.param)


def core_of(how: str, programs: Path, scratch: Path) -> Path:
    """Return a core of the program after a crash of this kind."""
    match how:
        case "threads":
            return crash(programs, scratch, "segv", "--threads", "70")
        case "recurse":
            return crash(programs, scratch, "recurse", "--stack", "128")  # arm64 has no smaller stacks
        case "deadlock":
            return abort_program(programs, scratch, "deadlock")
        case _:
            return crash(programs, scratch, how)


def abort_program(programs: Path, scratch: Path, mode: str) -> Path:
    """Abort a program that would wait forever, and return its core."""
    allow_cores()
    with subprocess.Popen([programs / "asterisk", mode], cwd=scratch, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGABRT)
    return scratch / "core"


def extract_with(extracting: RunningDaemon, core: Path, symbols: Symbols) -> tuple[Crash, dict[Section, str]]:
    """Extract a core with these symbols; return the record and the texts."""
    extracting.configure({"extract": {"symbols": str(symbols)}})
    recorded = extract(extracting, core)
    texts = {section: _GDB_MESSAGES.sub("", section_text(extracting, recorded, section)) for section in _TEXTS}
    extracting.store.remove(recorded.id)
    (extracting.store.root / "seen").unlink()  # as if it had not been collected yet
    return recorded, texts


def without_names(texts: dict[Section, str]) -> dict[Section, str]:
    """Return the texts without the names of symbols next to pointers."""
    return {section: without_pointer_names(content) for section, content in texts.items()}


@pytest.mark.parametrize("how", ["segv", "abort", "double-free", "smash", "recurse", "deadlock", "threads"])
def test_lazy_symbols_give_the_same_texts_except_for_names_next_to_pointers(
    extracting: RunningDaemon, variant: Path, scratch: Path, how: str
) -> None:
    core = core_of(how, variant, scratch)
    recorded, lazy = extract_with(extracting, core, Symbols.LAZY)
    reference, everything = extract_with(extracting, core, Symbols.ALL)
    assert (recorded.extraction.symbols, reference.extraction.symbols) == (Symbols.LAZY, Symbols.ALL)
    assert without_names(lazy) == without_names(everything)
    assert recorded.diagnosis == reference.diagnosis


def test_a_pointer_into_an_object_without_frames_has_no_name(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "segv")
    _, lazy = extract_with(extracting, core, Symbols.LAZY)
    _, everything = extract_with(extracting, core, Symbols.ALL)
    [(address, nothing)], [(same, name)] = (_MUSIC_ON_HOLD.findall(texts[Section.FULL]) for texts in (lazy, everything))
    assert (address, nothing) == (same, "")
    assert name == " <start_moh_exec>"


def test_the_header_equals_that_of_the_documented_command(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "segv")
    _, lazy = extract_with(extracting, core, Symbols.LAZY)
    expected, _, _ = run_documented_command(core, programs / "asterisk").partition("\n#0 ")
    header, _, _ = lazy[Section.BACKTRACE].partition("\n#0 ")
    assert sorted(header.splitlines()) == sorted(line for line in expected.splitlines() if line)


def test_gdb_can_read_the_copy_without_macros_at_any_time(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    core = crash(programs, scratch, "segv")
    recorded = extract(extracting, core)
    log = extracting.store.directory(recorded.id) / Section.LOG
    assert b".debug_macro" in (programs / "asterisk").read_bytes()
    assert not log.exists() or "Permission denied" not in log.read_text()


def test_objects_that_gdb_cannot_read_are_found_by_their_names(
    extracting: RunningDaemon, programs: Path, scratch: Path
) -> None:
    subprocess.run(["cp", "-r", f"{programs}/.", scratch / "private"], check=True)
    (scratch / "private" / "modules" / "app_dial.so").chmod(0o600)
    core = crash(scratch / "private", scratch, "segv")
    _, lazy = extract_with(extracting, core, Symbols.LAZY)
    assert "in do_forward (" in lazy[Section.THREAD1]


@pytest.mark.parametrize(("how", "module"), [("segv", "app_dial.so"), ("double-free", "res_musiconhold.so")])
def test_all_symbols_are_read_if_an_object_with_frames_is_missing(
    extracting: RunningDaemon, programs: Path, scratch: Path, how: str, module: str
) -> None:
    subprocess.run(["cp", "-r", f"{programs}/.", scratch / "upgraded"], check=True)
    core = core_of(how, scratch / "upgraded", scratch)
    (scratch / "upgraded" / "modules" / module).unlink()
    recorded, lazy = extract_with(extracting, core, Symbols.LAZY)
    _, everything = extract_with(extracting, core, Symbols.ALL)
    assert recorded.extraction.symbols is Symbols.ALL
    assert lazy == everything
