"""The verdict on a complete backtrace."""

from astbtd.diagnosis.verdict import diagnose
from astbtd.model.crash import Verdict
from astbtd.model.diagnosis import MemoryCorruption


def test_a_complete_backtrace_is_usable(two_threads: str) -> None:
    diagnosis = diagnose(two_threads)

    assert (diagnosis.verdict, diagnosis.quality, diagnosis.advice) == (Verdict.USABLE, 1.0, ())
    assert (diagnosis.signal, diagnosis.crash_thread, diagnosis.top_frame) == ("SIGSEGV", 1, "speak")
    assert (diagnosis.crash_function, diagnosis.threads, diagnosis.frames) == ("speak", 2, 6)
    assert diagnosis.memory_corruption is MemoryCorruption.NONE
