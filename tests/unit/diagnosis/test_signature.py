"""Signatures: what two crashes of one bug have in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.diagnosis import signature
from astbtd.diagnosis.crash_function import CrashStack
from astbtd.diagnosis.signature import find_crash_function
from astbtd.model.diagnosis import DecidedSignature, MemoryCorruption
from tests.support.backtraces import (
    stack_from_text,
    stack_of,
    stack_of_objects,
)


def compute_signature(
    stack: CrashStack,
    corruption: MemoryCorruption | None = None,
    *,
    waiting: bool = False,
    has_core: bool = False,
    recursion: tuple[str, ...] = (),
) -> DecidedSignature:
    """Return the signature of a stack that has one."""
    decided = signature.compute_signature(stack, corruption, waiting=waiting, has_core=has_core, recursion=recursion)
    assert decided
    return decided


NAMES = st.sampled_from(["speak", "__strlen_avx2", "raise", "play.isra.0", "__ast_free", "??", "start_thread"])


def test_a_signature_has_the_ending_the_function_and_the_rule(two_threads: str) -> None:
    result = compute_signature(stack_from_text(two_threads))

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
        (["pthread_mutex_lock", "__ast_pthread_mutex_lock", "__ao2_lock", "speak"], "fault in speak"),
        (["__ao2_ref", "speak"], "fault in speak"),
        (["ast_strlen_zero", "ast_copy_string", "speak"], "fault in speak"),
        (["pj_atomic_inc_and_get", "pj_atomic_inc", "speak"], "fault in speak"),
    ],
)
def test_the_innermost_specific_function_is_named(functions: list[str], expected: str) -> None:
    assert compute_signature(stack_of(*functions)).text == expected


@pytest.mark.parametrize(
    ("corruption", "expected"),
    [(MemoryCorruption.CERTAIN, "corruption found in speak"), (MemoryCorruption.LIKELY, "malloc failed in speak")],
)
def test_a_damaged_heap_is_a_separate_ending(corruption: MemoryCorruption, expected: str) -> None:
    assert compute_signature(stack_of("raise", "abort", "speak"), corruption).text == expected


def test_waiting_threads_are_distinguished_by_three_functions() -> None:
    waiting = stack_of("__lll_lock_wait", "pthread_mutex_lock", "__ao2_lock", "take", "call", "dial", "exec")

    assert compute_signature(waiting, waiting=True).text == "wait in take < call < dial"


def test_compiler_suffixes_do_not_change_the_signature() -> None:
    first = stack_of("__GI_raise", "abort", "play.constprop.0.isra.1", "talk@@TALK_1.0", "run")
    second = stack_of("raise", "__GI_abort", "play.part.2.cold", "run.lto_priv.3")

    assert compute_signature(first) == compute_signature(second)


def test_inlined_callers_do_not_change_the_signature() -> None:
    assert compute_signature(stack_of("play", "talk", "run", "main")) == compute_signature(
        stack_of("play", "run.part.0", "main")
    )


@pytest.mark.parametrize("depth", [1, 2, 50])
def test_the_depth_of_a_recursion_does_not_change_the_signature(depth: int) -> None:
    assert compute_signature(stack_of(*["walk", "visit"] * depth, "main")).text == "fault in walk"


def test_a_missing_caller_is_replaced_by_its_name_in_an_argument() -> None:
    text = '#0  0x1 in __ao2_ref (user_data=0x1, func=func@entry=0x7f <__PRETTY_FUNCTION__.3> "play") at astobj2.c:5\n'

    whole = compute_signature(stack_from_text(text + "#1  0x2 in play () at p.c:1\n"))
    cut = compute_signature(stack_from_text(text))

    assert (whole.id, whole.rule, cut.rule) == (cut.id, "function", "argument")
    assert find_crash_function(stack_from_text(text)) == "play"


def test_the_function_in_the_log_takes_precedence() -> None:
    frames = stack_of("__ao2_ref", "somebody").frames

    assert compute_signature(CrashStack(frames, assertion_function="play")).text == "abort in play"
    assert compute_signature(CrashStack(frames, assertion_function="")).text == "abort in somebody"
    assert compute_signature(CrashStack(frames, assertion_function="log_bad_ao2")).text == "abort in somebody"


def test_code_without_names_and_offsets_is_not_grouped() -> None:
    crashed = stack_of_objects(
        (None, "/usr/lib/asterisk/modules/chan_x.so"), (None, "/usr/sbin/asterisk"), ("run", "libx.so.2")
    )

    assert signature.compute_signature(crashed) is None
    assert find_crash_function(crashed) is None


def test_the_object_of_the_c_library_is_not_named() -> None:
    text = "#0  0x1 in ?? () from /lib/libc-2.31.so\n#1  0x3 in run () from /usr/lib/libx.so.2\n"

    assert compute_signature(stack_from_text(text)).text == "fault in run"


def test_without_code_the_library_functions_are_named_if_there_is_a_core() -> None:
    result = compute_signature(stack_of("__GI_raise", "__GI_abort"), has_core=True)

    assert (result.text, result.rule) == ("abort in raise < abort", "machinery")
    assert signature.compute_signature(stack_of("__GI_raise", "__GI_abort")) is None


@pytest.mark.parametrize("has_core", [True, False])
def test_without_frames_there_is_no_signature(has_core: bool) -> None:
    assert signature.compute_signature(stack_of(), has_core=has_core) is None


def test_functions_of_other_projects_are_replaced_by_their_caller() -> None:
    by_object = stack_of_objects(
        ("mem_write", "/lib64/libcrypto.so.3"), ("ssl_write", "/lib64/libssl.so.3"), ("send_it", "res_x.so")
    )
    by_name = stack_of("CRYPTO_malloc", "BIO_write", "SSL_write", "send_it")

    assert (compute_signature(by_object).text, find_crash_function(by_object)) == ("fault in send_it", "mem_write")
    assert compute_signature(by_name).text == "fault in send_it"


@given(st.lists(NAMES, min_size=1), st.lists(st.integers(0, 2**64 - 1), min_size=1), st.booleans())
def test_addresses_arguments_and_lines_do_not_change_the_signature(
    names: list[str], numbers: list[int], one_blank: bool
) -> None:
    gap = " " if one_blank else "  "
    plain = "".join(f"#{level}  0x1 in {name} (a=1) at f.c:1\n" for level, name in enumerate(names))
    varied = "".join(
        f"#{level}{gap}{number:#x} in {name} (a={number}) at f.c:{number % 1000}\n"
        for level, (name, number) in enumerate(zip(names, numbers * len(names), strict=False))
    )

    assert signature.compute_signature(stack_from_text(plain)) == signature.compute_signature(stack_from_text(varied))


@given(st.lists(st.text()))
def test_any_name_gives_a_signature(names: list[str]) -> None:
    assert signature.compute_signature(stack_of(*names)) == signature.compute_signature(stack_of(*names))


COREDUMPCTL = (
    "#0  0x00007f5a11391139 n/a (app_rpt.so + 0x{:x})\n#1  0x00007f5a11391200 load_module (app_rpt.so + 0x1200)\n"
)
GLIBC = "/usr/sbin/asterisk(__ao2_lock+0xac) [0x55a5]\n/usr/lib/asterisk/modules/app_rpt.so(+0x{:x}) [0x7fbe]\n"


@pytest.mark.parametrize("text", [COREDUMPCTL, GLIBC])
def test_offsets_in_a_text_tell_functions_without_names_apart(text: str) -> None:
    first, same, other = (compute_signature(stack_from_text(text.format(at))) for at in (0x1139, 0x1139, 0x1140))

    assert (first.text, first.rule) == ("fault in app_rpt.so+0x1139", "offset")
    assert first == same
    assert other.id != first.id


def test_without_names_and_offsets_there_is_no_signature() -> None:
    text = "#0  0x1 in __ao2_ref () from /usr/sbin/asterisk\n#1  0x2 in ?? () from /usr/lib/asterisk/modules/app_x.so\n"

    assert signature.compute_signature(stack_from_text(text)) is None
    assert signature.compute_signature(stack_from_text(text), has_core=True) is None


@pytest.mark.parametrize(
    "name", ["SSL_read", "SQLFetch", "luaL_checktype", "Curl_close", "speex_bits_pack", "sqlite3_step"]
)
def test_a_function_of_a_library_that_serves_many_callers_is_skipped(name: str) -> None:
    result = compute_signature(stack_of(name, "speak", "main"))

    assert result.text == "fault in speak"


@pytest.mark.parametrize("name", ["lua_pbx_exec", "curl_instance_init", "speex_callback", "ssl_read"])
def test_functions_of_asterisk_that_are_named_like_those_of_libraries_are_not_skipped(name: str) -> None:
    result = compute_signature(stack_of(name, "speak", "main"))

    assert result.text == f"fault in {name}"
