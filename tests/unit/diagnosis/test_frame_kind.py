"""Kinds of frames, and plain names."""

import pytest

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis.frame_kind import FrameKind, classify, plain_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clock_nanosleep@GLIBC_2.2.5", "clock_nanosleep"),
        ("strlen@plt", "strlen"),
        ("__GI___pthread_mutex_lock", "__pthread_mutex_lock"),
        ("subscribe.clone.1", "subscribe"),
        ("f.lto_priv.0.cold", "f"),
        ("state.1234", "state"),
        ("printf(char const*, ...)", "printf"),
        ("Talk::operator()(int) const", "Talk::operator()"),
        ("Talk::operator()", "Talk::operator()"),
        ("(anonymous namespace)::play", "(anonymous namespace)::play"),
        ("std::function<void (int)>::f(int)", "std::function<void (int)>::f"),
        ("play(int) [clone .isra.0]", "play"),
        ("@plt", "@plt"),
    ],
)
def test_plain_names_are_those_of_the_source(name: str, expected: str) -> None:
    assert plain_name(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("__memmove_avx_unaligned_erms", FrameKind.C_LIBRARY),
        ("___pthread_mutex_lock", FrameKind.LOCK),
        ("__GI___libc_free", FrameKind.RELEASE),
        ("_int_malloc", FrameKind.ALLOCATE),
        ("__pthread_kill_implementation", FrameKind.ABORT),
        ("__ast_assert_failed", FrameKind.ASTERISK_ASSERT),
        ("__ao2_lock", FrameKind.ASTERISK_LOCK),
        ("__ast_repl_calloc", FrameKind.ASTERISK_ALLOCATE),
        ("ast_free_ptr", FrameKind.ASTERISK_RELEASE),
        ("__ao2_ref", FrameKind.ASTERISK_OBJECT),
        ("__strlen_asimd", FrameKind.C_LIBRARY),
        ("__memcpy_power8_cached", FrameKind.C_LIBRARY),
        ("__interceptor_free", FrameKind.RELEASE),
        ("__asan::ReportGenericError(unsigned long)", FrameKind.ABORT),
        ("operator new(unsigned long)", FrameKind.ALLOCATE),
        ("__lll_lock_wait_private", FrameKind.LOCK),
        ("_umtx_op_err", FrameKind.LOCK),
        ("clone3", FrameKind.THREAD_START),
        ("ast_hangup", FrameKind.CODE),
        (None, FrameKind.UNKNOWN),
    ],
)
def test_frames_are_classified_by_name(name: str | None, expected: FrameKind) -> None:
    assert classify(Frame(0, "", function=name)) is expected


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("./nptl/pthread_kill.c", FrameKind.C_LIBRARY),
        ("src/malloc/mallocng/free.c", FrameKind.C_LIBRARY),
        ("/usr/include/x86_64-linux-gnu/bits/string_fortified.h", FrameKind.C_LIBRARY),
        ("./include/asterisk/strings.h", FrameKind.CODE),
        ("/usr/include/asterisk/strings.h", FrameKind.CODE),
        ("../include/pj/string.h", FrameKind.CODE),
        ("channel.c", FrameKind.CODE),
    ],
)
def test_frames_are_classified_by_source_file_if_the_name_is_in_no_list(file: str, expected: FrameKind) -> None:
    assert classify(Frame(0, "", function="anything", file=file, line=1)) is expected
