"""Extraction with programs in place of gdb that run as ourselves: whatever they do, the result says how they ended."""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.elf.core_notes import read_facts
from astbtd.errors import AstbtdError, Interrupted
from astbtd.extraction.extracted_core import ExtractionResult, ReadableCore, opened_before
from astbtd.extraction.gdb_probe import GdbCannotStart
from astbtd.extraction.gdb_runner import Extractor
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.model.crash import ExtractionOutcome, Section, Symbols
from astbtd.settings import GdbSettings
from tests.support.builders import DeadProcess
from tests.support.containers.container import wait_until

pytestmark = pytest.mark.skipif(shutil.which("setpriv") is None, reason="util-linux is missing")

USER = SandboxUser(os.geteuid(), os.getegid(), switched=False)
PREAMBLE = """
import json, os, signal, sys, time
JOB = json.loads(os.environ.get("ASTBTD_JOB", "{}"))

def write(section, text):
    os.write(JOB["sections"][section], text.encode())

def rest_of_job():
    os.read(JOB["request_fd"], 1)
    return json.loads(os.pread(JOB["rest_fd"], 1 << 20, 0))

def report_and_wait():
    os.write(JOB["request_fd"], b"written")
    os.write(JOB["request_fd"], b"/not/mapped\\0/name")
    os.read(JOB["request_fd"], 1)  # requests are handled in order
"""
WORKS = """
if "show version" in sys.argv:
    print("GNU gdb (Debian 16.3-1) 16.3")
    sys.exit()
"""
LIBRARY_MISSING = "gdb: error while loading shared libraries: libbabeltrace.so.1: cannot open shared object file"


class FakeGdb:
    """Runs extractions of one core with a Python script in place of gdb."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.program = directory / "gdb"
        self.sections = directory / "sections"
        self.process = DeadProcess(mapped=("/usr/sbin/asterisk", "/m/app_gone.so"))

    def extract(
        self,
        script: str,
        *,
        interrupted: bool = False,
        opened: Callable[[ReadableCore], ReadableCore] = lambda core: core,
        backtrace_written: Callable[[], object] = lambda: None,
        **limits: object,
    ) -> ExtractionResult:
        """Extract the core. `opened` is called with the core when it is opened, and returns it."""
        self.program.write_text(f"#!{os.path.realpath(sys.executable)} -IS\n{PREAMBLE}\n{textwrap.dedent(script)}\n")
        self.program.chmod(0o755)
        self.sections.mkdir()
        settings = GdbSettings(program=str(self.program), **limits)  # type: ignore[arg-type]

        def check_interrupt() -> None:
            if interrupted:
                raise Interrupted("shutting down")

        extractor = Extractor(settings, USER, -1, Symbols.LAZY, lambda _: None, check_interrupt)
        extractor = replace(extractor, backtrace_written=backtrace_written)
        core = self._directory / "core"
        core.write_bytes(self.process.core())
        descriptor = os.open(core, os.O_RDONLY)
        try:
            readable = ReadableCore(descriptor, read_facts(descriptor))
            return extractor.extract(lambda: opened(readable), self.sections)
        finally:
            os.close(descriptor)


@pytest.fixture
def fake(tmp_path: Path) -> FakeGdb:
    return FakeGdb(tmp_path)


def test_the_sections_and_facts_of_a_complete_run_are_kept(fake: FakeGdb) -> None:
    result = fake.extract("""
        write("backtrace.txt", "#0  0x1 in main ()\\n")
        write("facts", '{"gdb_version": "13.1", "symbols": "lazy"}')
        write("states", '{"machine": "i386:x86-64", "threads": [{"lwp": 7}]}')
        print("a message")
    """)

    assert result.extraction.ended is ExtractionOutcome.OK
    assert (result.extraction.gdb_version, result.extraction.symbols) == ("13.1", Symbols.LAZY)
    assert [state.lwp for state in result.thread_states.threads] == [7]
    assert (fake.sections / Section.BACKTRACE).read_text() == "#0  0x1 in main ()\n"
    assert (fake.sections / Section.LOG).read_text() == "a message\n"
    assert "Program and modules in use" in (fake.sections / Section.INFO).read_text()
    assert "facts" not in os.listdir(fake.sections)


def test_warnings_about_the_size_of_register_sections_are_left_out(fake: FakeGdb) -> None:
    threads = ("/4242", "/4243", "")
    warnings = "".join(
        f"warning: Unexpected size of section `.reg-xstate{thread}' in core file.\\n" for thread in threads
    )
    fake.extract(f"""
        write("backtrace.txt", "{warnings}#0  0x1 in main ()\\n")
        write("facts", "{{}}")
        print("a message\\n{warnings}warning: another one")
    """)

    assert (fake.sections / Section.LOG).read_text() == "a message\nwarning: another one\n"
    assert (fake.sections / Section.BACKTRACE).read_text() == "#0  0x1 in main ()\n"


def test_the_backtrace_can_be_read_while_gdb_goes_on(fake: FakeGdb) -> None:
    read: list[tuple[str, str]] = []

    def read_backtrace() -> None:
        texts = ((fake.sections / name).read_text() for name in (Section.BACKTRACE, "facts"))
        read.append((next(texts), next(texts)))

    fake.extract(
        """
        write("backtrace.txt", "warning: Unexpected size of section `.reg-xstate/42' in core file.\\n#0  main ()\\n")
        rest_of_job()
        report_and_wait()
        write("facts", "{}")
        """,
        backtrace_written=read_backtrace,
    )

    assert read == [("#0  main ()\n", "")]


def test_a_huge_backtrace_is_read_only_when_gdb_has_ended(fake: FakeGdb) -> None:
    read: list[str] = []

    fake.extract(
        """
        rest_of_job()
        write("backtrace.txt", "#0  main ()\\n" * 100_000)
        report_and_wait()
        write("facts", "{}")
        """,
        backtrace_written=lambda: read.append("early"),
    )

    assert read == []
    assert (fake.sections / Section.BACKTRACE).stat().st_size == 1_200_000


def test_objects_that_gdb_cannot_read_are_noted(fake: FakeGdb) -> None:
    result = fake.extract("write('facts', '{}')")

    assert "gdb could not read /m/app_gone.so" in result.extraction.notes


def test_a_run_without_a_backtrace_is_repeated_with_a_frame_limit(fake: FakeGdb) -> None:
    result = fake.extract("""
        if JOB["frame_limit"] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        write("facts", '{"gdb_version": "13.1"}')
    """)

    note = "gdb gave no backtrace without a frame limit (killed): every thread is cut after 200 frames"
    assert result.extraction.ended is ExtractionOutcome.KILLED
    assert result.extraction.notes[0] == note


@pytest.mark.parametrize("how", ["", "sys.exit(1)", "os.kill(os.getpid(), signal.SIGSEGV)"])
def test_a_gdb_that_only_fails_with_the_core_is_recorded_as_failed(fake: FakeGdb, how: str) -> None:
    result = fake.extract(f"{WORKS}\n{how}")

    assert result.extraction.ended in (ExtractionOutcome.FAILED, ExtractionOutcome.KILLED)
    assert result.extraction.notes[0] == "gdb gave no backtrace; see gdb.log for the reason"


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        (f"print('{LIBRARY_MISSING}'); sys.exit(127)", LIBRARY_MISSING),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "it prints no version (killed)"),
    ],
)
def test_a_gdb_that_does_not_even_print_its_version_cannot_start(fake: FakeGdb, how: str, reason: str) -> None:
    with pytest.raises(GdbCannotStart, match=f"^{re.escape(f'gdb cannot start: {reason}')}$") as raised:
        fake.extract(how)

    assert raised.value.remedy.startswith(f"run `{fake.program} --version`")


def test_a_gdb_that_is_killed_for_want_of_memory_has_started(fake: FakeGdb) -> None:
    result = fake.extract("os.kill(os.getpid(), signal.SIGKILL)")

    assert result.extraction.ended is ExtractionOutcome.KILLED


def test_a_gdb_without_python_runs_the_documented_commands(fake: FakeGdb) -> None:
    result = fake.extract("""
        if any(word.startswith("python") for word in sys.argv):
            print("Python scripting is not supported in this copy of GDB.")
        else:
            print(sys.argv)
    """)

    assert "thread apply all bt" in (fake.sections / Section.BACKTRACE).read_text()
    assert "this gdb has no Python" in result.extraction.notes[0]


def test_a_gdb_that_hangs_is_killed_after_the_time_limit(fake: FakeGdb) -> None:
    result = fake.extract("write('facts', '{}'); time.sleep(1000)", time=1.0)

    assert result.extraction.ended is ExtractionOutcome.TIMEOUT


def test_too_much_output_ends_the_run_and_is_truncated(fake: FakeGdb) -> None:
    result = fake.extract("write('facts', '{}')\nwhile True: write('backtrace.txt', 999 * 'x')", output=1 << 16)

    assert result.extraction.ended is not ExtractionOutcome.OK
    assert result.extraction.sections[Section.BACKTRACE] <= 1 << 16


def test_an_interrupt_ends_the_run(fake: FakeGdb) -> None:
    with pytest.raises(Interrupted):
        fake.extract("time.sleep(1000)", interrupted=True)


def test_a_missing_gdb_is_an_error_with_a_hint(tmp_path: Path) -> None:
    settings = GdbSettings(program=str(tmp_path / "gdb"))
    extractor = Extractor(settings, USER, -1, Symbols.ALL, lambda _: None, lambda: None)
    descriptor = os.memfd_create("core")
    os.write(descriptor, DeadProcess().core())

    with pytest.raises(GdbCannotStart, match="is not installed") as raised:
        extractor.extract(opened_before(descriptor, read_facts(descriptor)), tmp_path)
    os.close(descriptor)
    assert raised.value.remedy.startswith("apt install gdb")


def test_no_objects_are_opened_if_the_container_root_is_unknown(fake: FakeGdb) -> None:
    fifo = fake.sections.parent / "pipe.so"
    os.mkfifo(fifo)
    fake.process = DeadProcess(mapped=("/usr/sbin/asterisk", str(fifo)))

    result = fake.extract("write('facts', '{}'); print(rest_of_job()['sysroot'])")

    assert (fake.sections / Section.LOG).read_text() == "/nonexistent\n"
    assert result.objects.missing == (str(fifo),)


def test_gdb_starts_before_the_core_is_opened(fake: FakeGdb) -> None:
    log = fake.sections / Section.LOG

    def open_after_start(core: ReadableCore) -> ReadableCore:
        wait_until(lambda: "started" in log.read_text(), "gdb has started", seconds=30)
        return core

    fake.extract(
        "print('started', flush=True); write('facts', '{}'); print(rest_of_job()['sysroot'])", opened=open_after_start
    )

    assert log.read_text() == "started\n/\n"


def test_gdb_is_ended_if_there_is_no_core(fake: FakeGdb) -> None:
    def fail(_: ReadableCore) -> ReadableCore:
        raise AstbtdError("core: not a core file")

    with pytest.raises(AstbtdError, match="not a core file"):
        fake.extract("time.sleep(1000)", opened=fail)
