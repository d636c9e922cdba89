"""The signature: what stays the same between two crashes of one bug."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.diagnosis.backtrace import parse
from astbtd.diagnosis.frame import Frame
from astbtd.diagnosis.roles import LISTED, Role, plain_name, role
from astbtd.diagnosis.signature import crash_function, signature
from astbtd.diagnosis.words import words

NAMES = st.sampled_from(["speak", "__strlen_avx2", "raise", "play.isra.0", "__ast_free", "??", "start_thread"])


def frames(text: str) -> tuple[Frame, ...]:
    return parse(text).threads[0].frames


def named(*functions: str | None) -> tuple[Frame, ...]:
    return tuple(Frame(level, "", function=function) for level, function in enumerate(functions))


def test_the_text_names_the_signal_and_the_innermost_functions(two_threads: str) -> None:
    result = signature("SIGSEGV", frames(two_threads))

    assert result.text == "SIGSEGV speak < play < talker"
    assert result.id == "4c85f386a932"


def test_machinery_is_left_out(double_free: str) -> None:
    assert signature("SIGABRT", frames(double_free)).text == "SIGABRT spoil < main"


def test_two_builds_of_one_function_are_the_same() -> None:
    first = named("__GI_raise", "abort", "play.constprop.0.isra.1", "talk@@TALK_1.0", "run")
    second = named("play.part.2.cold", "talk", "run.lto_priv.3")

    assert signature("SIGABRT", first) == signature("SIGABRT", second)


@pytest.mark.parametrize("depth", [1, 2, 50])
def test_a_recursion_looks_the_same_however_deep(depth: int) -> None:
    assert signature("SIGSEGV", named(*["walk", "visit"] * depth, "main")).text == "SIGSEGV walk < visit < main"


def test_a_frame_without_a_name_falls_back_to_its_object() -> None:
    stack = frames("#0  0x1 in ?? () from /usr/lib/asterisk/modules/chan_x.so\n#1  0x2 in ?? ()\n#2  0x3 in run ()\n")

    assert signature(None, stack).text == "chan_x.so < run"


def test_the_c_librarys_object_is_no_fallback() -> None:
    stack = frames("#0  0x1 in ?? () from /lib/libc-2.31.so\n#1  0x3 in run () from /usr/lib/libx.so.2\n")

    assert signature(None, stack).text == "run"


def test_without_code_the_machinery_has_to_do() -> None:
    assert signature("SIGABRT", named("__GI_raise", "__GI_abort")).text == "SIGABRT raise < abort"


def test_without_frames_there_still_is_a_signature() -> None:
    assert signature("SIGSEGV", ()).text == "SIGSEGV ??"
    assert signature(None, ()) == signature(None, ())


@given(st.lists(NAMES, min_size=1), st.lists(st.integers(0, 2**64 - 1), min_size=1), st.booleans())
def test_addresses_arguments_and_lines_do_not_matter(names: list[str], numbers: list[int], one_blank: bool) -> None:
    gap = " " if one_blank else "  "
    plain = "".join(f"#{level}  0x1 in {name} (a=1) at f.c:1\n" for level, name in enumerate(names))
    varied = "".join(
        f"#{level}{gap}{number:#x} in {name} (a={number}) at f.c:{number % 1000}\n"
        for level, (name, number) in enumerate(zip(names, numbers * len(names), strict=False))
    )

    assert signature("SIGSEGV", frames(plain)) == signature("SIGSEGV", frames(varied))


@given(st.lists(st.text()), st.one_of(st.none(), st.text()))
def test_any_name_gives_a_signature(names: list[str], signal: str | None) -> None:
    stack = named(*names)

    assert signature(signal, stack) == signature(signal, stack)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clock_nanosleep@GLIBC_2.2.5", "clock_nanosleep"),
        ("strlen@plt", "strlen"),
        ("__GI___pthread_mutex_lock", "__pthread_mutex_lock"),
        ("subscribe.clone.1", "subscribe"),
        ("f.lto_priv.0.cold", "f"),
        ("state.1234", "state"),
        ("printf(char const*, ...)", "printf(char const*, ...)"),
        ("@plt", "@plt"),
    ],
)
def test_names_are_those_of_the_source(name: str, expected: str) -> None:
    assert plain_name(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("__memmove_avx_unaligned_erms", Role.C_LIBRARY),
        ("___pthread_mutex_lock", Role.LOCK),
        ("__GI___libc_free", Role.RELEASE),
        ("_int_malloc", Role.ALLOCATE),
        ("__pthread_kill_implementation", Role.ABORT),
        ("__ast_assert_failed", Role.ASTERISK_ASSERT),
        ("__ao2_lock", Role.ASTERISK_LOCK),
        ("__ast_repl_calloc", Role.ASTERISK_ALLOCATE),
        ("ast_free_ptr", Role.ASTERISK_RELEASE),
        ("clone3", Role.THREAD_START),
        ("ast_hangup", Role.CODE),
        (None, Role.UNKNOWN),
    ],
)
def test_a_name_tells_the_part_a_frame_plays(name: str | None, expected: Role) -> None:
    assert role(Frame(0, "", function=name)) is expected


def test_the_crash_function_is_behind_lock_wrappers() -> None:
    stack = named("__lll_lock_wait", "pthread_mutex_lock", "__ast_pthread_mutex_lock", "__ao2_lock", "hang.isra.0", "f")

    assert crash_function(stack) == "hang"


@pytest.mark.parametrize("listed", LISTED)
def test_every_list_has_names_and_none_twice(listed: Role) -> None:
    others = [words(other.value) for other in LISTED if other is not listed]

    assert words(listed.value)
    assert not words(listed.value) & frozenset().union(*others)
