"""Findings about what a text lacks, and advice that does not blame a good build."""

from collections.abc import Sequence

import pytest

from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.model.crash import (
    Asterisk,
    Verdict,
)
from astbtd.model.diagnosis import Kind, MemoryCorruption
from tests.support.backtraces import (
    prose,
)


def test_optimized_values_in_the_c_library_do_not_call_for_a_rebuild(two_threads: str) -> None:
    diagnosis = diagnose(two_threads)

    assert diagnosis.optimized
    assert "DONT_OPTIMIZE" not in prose(diagnosis)


def test_optimized_values_in_asterisk_call_for_dont_optimize(optimized: str) -> None:
    diagnosis = diagnose(optimized)

    assert diagnosis.verdict is Verdict.PARTIAL
    assert "DONT_OPTIMIZE" in " ".join(diagnosis.advice)
    assert "restart" in " ".join(diagnosis.advice)


@pytest.mark.parametrize("dont_optimize", [True, False])
def test_the_build_options_of_the_binary_decide_about_optimization(optimized: str, dont_optimize: bool) -> None:
    diagnosis = diagnose(optimized, Evidence(asterisk=Asterisk(dont_optimize=dont_optimize)))

    assert ("DONT_OPTIMIZE" in prose(diagnosis)) is not dont_optimize


def test_missing_symbols_call_for_the_package(stripped: str) -> None:
    diagnosis = diagnose(stripped)

    assert diagnosis.missing_symbols
    assert diagnosis.crash_function is None
    assert diagnosis.verdict is Verdict.UNUSABLE
    assert "asterisk-dbgsym" in " ".join(diagnosis.advice)


def test_frames_beyond_the_start_of_the_thread_do_not_count(two_threads: str) -> None:
    diagnosis = diagnose(two_threads + "#6  0x0000000000000000 in ?? ()\n")

    assert diagnosis.missing_symbols
    assert diagnosis.verdict is Verdict.USABLE


def test_missing_frames_are_listed() -> None:
    diagnosis = diagnose("#4  0x1 in f () at f.c:1\n#5  0x2 in g () at g.c:1\n#8  0x3 in h () at h.c:1\n")

    assert "#0 to #3, #6 to #7" in prose(diagnosis)
    assert diagnosis.top_frame is None


def test_lines_that_could_not_be_parsed_are_reported(two_threads: str) -> None:
    assert "1 line looks like a frame and could not be parsed, the first: #9" in prose(diagnose(two_threads + "#9\n"))


def test_optimized_values_are_counted() -> None:
    text = "#0  0x1 in f (a=<optimized out>, b=<optimized out>) at f.c:1\n#1  0x2 in g (c=1) at g.c:1\n"

    assert "in 1 of 2 frames of Asterisk, 2 arguments among them" in prose(diagnose(text))


def test_objects_without_symbols_are_named_with_their_packages() -> None:
    text = "#0  0x1 in ?? () from /usr/lib/asterisk/modules/chan_x.so\n#1  0x2 in ?? () from /usr/lib/libfoo.so.2\n"

    diagnosis = diagnose(text)

    assert "for 2 of 2 frames of the crash thread, in chan_x.so, libfoo.so" in prose(diagnosis)
    assert "asterisk-dbgsym" in prose(diagnosis)
    assert "debug symbols of libfoo.so" in prose(diagnosis)


def test_the_frames_without_names_are_counted_as_they_are_shown() -> None:
    """Two of nine frames lack symbols that exist; the reader sees seven `??`."""
    frames = [
        "?? () from /lib/libc.so.6",
        "?? () from /lib/libc.so.6",
        "?? () from /usr/lib/asterisk/modules/app_x.so",
        "?? () from /usr/sbin/asterisk",
        "pbx_exec () from /usr/sbin/asterisk",
        "?? () from /lib/libpthread.so.0",
        "start_thread () from /lib/libpthread.so.0",
        "?? ()",
        "?? ()",
    ]
    text = "".join(f"#{level}  {level + 1:#x} in {frame}\n" for level, frame in enumerate(frames))

    assert (
        "No function name (`??`) for 7 of 9 frames of the crash thread, in app_x.so, asterisk; "
        "5 of them are in the C library or invented by gdb, and need none."
    ) in diagnose(text).reasons


@pytest.mark.parametrize("name", ["two_threads", "double_free", "stripped", "optimized"])
def test_the_quality_is_in_the_range_of_the_verdict(request: pytest.FixtureRequest, name: str) -> None:
    diagnosis = diagnose(request.getfixturevalue(name))

    lowest, highest = {Verdict.USABLE: (0.8, 1), Verdict.PARTIAL: (0.3, 0.79), Verdict.UNUSABLE: (0, 0.29)}[
        diagnosis.verdict
    ]
    assert lowest <= diagnosis.quality <= highest


def test_a_text_that_names_only_the_c_library_has_no_good_quality() -> None:
    diagnosis = diagnose("#0  __GI_raise (sig=6) at raise.c:50\n")

    assert (diagnosis.verdict, diagnosis.quality) == (Verdict.UNUSABLE, 0.29)


def test_symbols_are_installed_as_this_machine_installs_them(stripped: str) -> None:
    asked: list[Sequence[str]] = []

    def advise(paths: Sequence[str]) -> Sequence[str]:
        asked.append(paths)
        return ("Install the debug symbols: `apt install asterisk-dbgsym=1`.",)

    advice = diagnose(stripped, Evidence(executable="/usr/sbin/asterisk", advise_symbols=advise)).advice

    assert advice[0] == "Install the debug symbols: `apt install asterisk-dbgsym=1`."
    assert all("/usr/sbin/asterisk" in paths for paths in asked)


def test_the_files_of_a_container_have_no_package_here(stripped: str) -> None:
    evidence = Evidence(executable="/usr/sbin/asterisk", container=True, advise_symbols=lambda _: ("apt install",))

    assert "apt install" not in diagnose(stripped, evidence).advice


CALLER_IS_NAMED = """\
Program terminated with signal SIGSEGV, Segmentation fault.
#0  0x76a1b2c4 in ?? () from /usr/lib/asterisk/modules/codec_g729.so
#1  0x0010a2b4 in ast_translate ()
"""


def test_a_named_caller_is_not_denied() -> None:
    found = diagnose(CALLER_IS_NAMED)

    assert found.crash_function is None
    assert "The function that crashed has no name, only some of those that called it have one." in found.reasons


JEMALLOC = """\
Program terminated with signal SIGSEGV, Segmentation fault.
#0  je_arena_dalloc_bin_locked_impl (arena=0x7f, chunk=0x1) at src/arena.c:2711
#1  0x1 in je_tcache_bin_flush_small (tsd=0x1) at src/tcache.c:100
#2  0x2 in free (ptr=0x7f) at src/jemalloc.c:2011
#3  0x3 in ast_cdr_free (cdr=0x7f) at cdr.c:3001
"""


def test_functions_of_jemalloc_are_not_to_blame() -> None:
    found = diagnose(JEMALLOC)

    assert (found.crash_function, found.memory_corruption) == ("ast_cdr_free", MemoryCorruption.CERTAIN)


def test_a_thread_without_a_name_received_the_signal() -> None:
    text = "Thread 5 received signal SIGILL, Illegal instruction.\n#0  0x76 in codec_frame () at codec.c:1\n"

    found = diagnose(text)

    assert (found.signal, found.crash_thread) == ("SIGILL", 5)


def test_the_tool_is_named_once() -> None:
    text = "WARNING: ThreadSanitizer: data race (pid=5)\n  Write of size 4 at 0x7 by T1:\n    #0 f a.c:3 (p+0x1)\n"

    assert "ThreadSanitizer reported: data race in f." in diagnose(text).reasons


def test_a_process_that_the_oom_killer_ended_is_a_log_line() -> None:
    found = diagnose("kernel: Out of memory: Killed process 3310 (asterisk) total-vm:81kB, anon-rss:71kB\n")

    assert (found.kind, found.signal) == (Kind.LOG, "SIGKILL")
