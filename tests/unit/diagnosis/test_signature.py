"""The signature: what stays the same between two crashes of one bug."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.parser import parse
from astbtd.diagnosis.crash_function import Stack
from astbtd.diagnosis.frame_kind import LISTED, Role, plain_name, role
from astbtd.diagnosis.signature import crash_function, signature
from astbtd.diagnosis.word_lists import words
from astbtd.model.crash import MemoryCorruption

NAMES = st.sampled_from(["speak", "__strlen_avx2", "raise", "play.isra.0", "__ast_free", "??", "start_thread"])


def stack(text: str) -> Stack:
    return Stack.of(parse(text).threads[0].frames)


def named(*functions: str | None) -> Stack:
    return Stack(tuple(Frame(level, "", function=function) for level, function in enumerate(functions)))


def placed(*functions: tuple[str | None, str]) -> Stack:
    return Stack(tuple(Frame(level, "", function=name, library=path) for level, (name, path) in enumerate(functions)))


def test_the_text_says_how_it_ended_and_in_what_function_and_by_what_rule(two_threads: str) -> None:
    result = signature(stack(two_threads))

    assert (result.text, result.rule) == ("fault in speak", "function")
    assert result.id == "3b0159195ec6"


@pytest.mark.parametrize(
    ("functions", "expected"),
    [
        (["speak", "main"], "fault in speak"),
        (["__strlen_avx2", "speak"], "fault in speak"),
        (["raise", "abort", "speak"], "abort in speak"),
        (["raise", "abort", "__assert_fail_base", "__assert_fail", "speak"], "abort in speak"),
        (
            ["raise", "abort", "ast_do_crash", "__ast_assert_failed", "log_bad_ao2", "__ao2_ref", "speak"],
            "abort in speak",
        ),
        (["pthread_mutex_lock", "__ast_pthread_mutex_lock", "__ao2_lock", "speak"], "lock in speak"),
        (["__ao2_ref", "speak"], "fault in speak"),
        (["ast_strlen_zero", "ast_copy_string", "speak"], "fault in speak"),
        (["pj_atomic_inc_and_get", "pj_atomic_inc", "speak"], "fault in speak"),
    ],
)
def test_the_innermost_function_that_means_something_is_named(functions: list[str], expected: str) -> None:
    assert signature(named(*functions)).text == expected


@pytest.mark.parametrize(
    ("corruption", "expected"),
    [(MemoryCorruption.CERTAIN, "corruption found in speak"), (MemoryCorruption.LIKELY, "malloc failed in speak")],
)
def test_a_damaged_heap_is_an_ending_of_its_own(corruption: MemoryCorruption, expected: str) -> None:
    assert signature(named("raise", "abort", "speak"), corruption).text == expected


def test_who_waits_is_told_apart_by_the_way_there() -> None:
    waiting = named("__lll_lock_wait", "pthread_mutex_lock", "__ao2_lock", "take", "call", "dial", "exec")

    assert signature(waiting, waiting=True).text == "wait in take < call < dial"


def test_two_builds_of_one_function_are_the_same() -> None:
    first = named("__GI_raise", "abort", "play.constprop.0.isra.1", "talk@@TALK_1.0", "run")
    second = named("raise", "__GI_abort", "play.part.2.cold", "run.lto_priv.3")

    assert signature(first) == signature(second)


def test_what_the_compiler_made_of_the_callers_does_not_matter() -> None:
    assert signature(named("play", "talk", "run", "main")) == signature(named("play", "run.part.0", "main"))


@pytest.mark.parametrize("depth", [1, 2, 50])
def test_a_recursion_looks_the_same_however_deep(depth: int) -> None:
    assert signature(named(*["walk", "visit"] * depth, "main")).text == "fault in walk"


def test_the_callers_name_in_an_argument_does_where_the_caller_is_missing() -> None:
    text = '#0  0x1 in __ao2_ref (user_data=0x1, func=func@entry=0x7f <__PRETTY_FUNCTION__.3> "play") at astobj2.c:5\n'

    whole = signature(stack(text + "#1  0x2 in play () at p.c:1\n"))
    cut = signature(stack(text))

    assert (whole.id, whole.rule, cut.rule) == (cut.id, "function", "argument")
    assert crash_function(stack(text)) == "play"


def test_a_prototype_in_an_argument_is_reduced_to_its_name() -> None:
    text = '#0  0x1 in calloc ()\n#1  0x2 in _ast_calloc (num=1, func=0xb6 "talk_t *play(talk_t *, int)") at u.h:5\n'

    assert crash_function(stack(text)) == "play"


def test_the_function_that_the_log_names_comes_first() -> None:
    frames = named("__ao2_ref", "somebody").frames

    assert signature(Stack(frames, asserted="play")).text == "abort in play"
    assert signature(Stack(frames, asserted="")).text == "abort in somebody"
    assert signature(Stack(frames, asserted="log_bad_ao2")).text == "abort in somebody"


def test_code_without_a_name_is_told_by_its_module() -> None:
    crashed = placed((None, "/usr/lib/asterisk/modules/chan_x.so"), (None, "/usr/sbin/asterisk"), ("run", "libx.so.2"))

    assert (signature(crashed).text, signature(crashed).rule) == ("fault in chan_x.so < asterisk < run", "modules")
    assert crash_function(crashed) is None


def test_a_module_without_symbols_is_passed_over_where_its_callers_have_them() -> None:
    text = "#0  0x1 in ?? () from /usr/lib/asterisk/modules/codec_x.so\n#1  0x2 in {}\n"

    assert crash_function(stack(text.format("destroy (pvt=0x1) at translate.c:300"))) == "destroy"
    assert crash_function(stack(text.format("destroy ()"))) is None


def test_addresses_that_belong_to_nothing_are_passed_over() -> None:
    assert crash_function(named(None, None, "play")) == "play"


def test_checks_without_a_name_are_passed_over_on_the_way_to_an_assertion() -> None:
    asterisk, module = "/usr/sbin/asterisk", "/usr/lib/asterisk/modules/chan_x.so"
    inside = placed((None, asterisk), ("__ao2_lock", asterisk), ("play", asterisk))
    after = placed(("__ast_assert_failed", asterisk), (None, asterisk), ("play", asterisk))
    behind = placed((None, asterisk), ("__ao2_lock", asterisk), (None, module), ("pbx_exec", asterisk))

    found = [crash_function(Stack(each.frames, asserted="")) for each in (inside, after, behind)]

    assert found == ["play", "play", None]


def test_what_a_signal_interrupted_is_the_crash_not_the_handler() -> None:
    text = "#0  0x1 in raise ()\n#1  0x2 in on_crash ()\n#2  <signal handler called>\n#3  0x3 in play ()\n"

    assert crash_function(stack(text)) == "play"
    assert crash_function(stack("#0  0x1 in play ()\n#1  <signal handler called>\n")) == "play"


def test_the_c_librarys_object_is_no_fallback() -> None:
    text = "#0  0x1 in ?? () from /lib/libc-2.31.so\n#1  0x3 in run () from /usr/lib/libx.so.2\n"

    assert signature(stack(text)).text == "fault in run"


def test_a_function_that_counts_references_is_named_where_nothing_else_is() -> None:
    assert crash_function(named("__ao2_ref")) == "__ao2_ref"
    assert crash_function(named("__ast_assert_failed", "__ao2_ref")) is None


def test_without_code_the_machinery_has_to_do() -> None:
    result = signature(named("__GI_raise", "__GI_abort"))

    assert (result.text, result.rule) == ("abort in raise < abort", "machinery")


def test_without_frames_there_still_is_a_signature() -> None:
    result = signature(named())

    assert (result.text, result.rule) == ("fault in ??", "nothing")


@given(st.lists(NAMES, min_size=1), st.lists(st.integers(0, 2**64 - 1), min_size=1), st.booleans())
def test_addresses_arguments_and_lines_do_not_matter(names: list[str], numbers: list[int], one_blank: bool) -> None:
    gap = " " if one_blank else "  "
    plain = "".join(f"#{level}  0x1 in {name} (a=1) at f.c:1\n" for level, name in enumerate(names))
    varied = "".join(
        f"#{level}{gap}{number:#x} in {name} (a={number}) at f.c:{number % 1000}\n"
        for level, (name, number) in enumerate(zip(names, numbers * len(names), strict=False))
    )

    assert signature(stack(plain)) == signature(stack(varied))


@given(st.lists(st.text()))
def test_any_name_gives_a_signature(names: list[str]) -> None:
    assert signature(named(*names)) == signature(named(*names))


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
        ("__ao2_ref", Role.ASTERISK_OBJECT),
        ("__strlen_asimd", Role.C_LIBRARY),
        ("__memcpy_power8_cached", Role.C_LIBRARY),
        ("__interceptor_free", Role.RELEASE),
        ("__asan::ReportGenericError(unsigned long)", Role.ABORT),
        ("operator new(unsigned long)", Role.ALLOCATE),
        ("__lll_lock_wait_private", Role.LOCK),
        ("_umtx_op_err", Role.LOCK),
        ("clone3", Role.THREAD_START),
        ("ast_hangup", Role.CODE),
        (None, Role.UNKNOWN),
    ],
)
def test_a_name_tells_the_part_a_frame_plays(name: str | None, expected: Role) -> None:
    assert role(Frame(0, "", function=name)) is expected


def test_the_crash_function_is_behind_lock_wrappers() -> None:
    frames = named(
        "__lll_lock_wait", "pthread_mutex_lock", "__ast_pthread_mutex_lock", "__ao2_lock", "hang.isra.0", "f"
    )

    assert crash_function(frames) == "hang"


@pytest.mark.parametrize("listed", LISTED)
def test_every_list_has_names_and_none_twice(listed: Role) -> None:
    others = [words(other.value).names for other in LISTED if other is not listed]

    assert words(listed.value).names
    assert not words(listed.value).names & frozenset().union(*others)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("./nptl/pthread_kill.c", Role.C_LIBRARY),
        ("src/malloc/mallocng/free.c", Role.C_LIBRARY),
        ("/usr/include/x86_64-linux-gnu/bits/string_fortified.h", Role.C_LIBRARY),
        ("./include/asterisk/strings.h", Role.CODE),
        ("/usr/include/asterisk/strings.h", Role.CODE),
        ("../include/pj/string.h", Role.CODE),
        ("channel.c", Role.CODE),
    ],
)
def test_a_place_tells_the_part_where_the_name_does_not(file: str, expected: Role) -> None:
    assert role(Frame(0, "", function="anything", file=file, line=1)) is expected
