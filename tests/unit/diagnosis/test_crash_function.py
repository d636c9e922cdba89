"""The function that a crash is filed under."""

from astbtd.diagnosis.crash_function import CrashStack
from astbtd.diagnosis.signature import find_crash_function
from tests.support.backtraces import (
    stack_from_text,
    stack_of,
    stack_of_objects,
)


def test_a_prototype_in_an_argument_is_reduced_to_its_name() -> None:
    text = '#0  0x1 in calloc ()\n#1  0x2 in _ast_calloc (num=1, func=0xb6 "talk_t *play(talk_t *, int)") at u.h:5\n'

    assert find_crash_function(stack_from_text(text)) == "play"


def test_a_module_without_symbols_is_skipped_if_its_callers_have_symbols() -> None:
    text = "#0  0x1 in ?? () from /usr/lib/asterisk/modules/codec_x.so\n#1  0x2 in {}\n"

    assert find_crash_function(stack_from_text(text.format("destroy (pvt=0x1) at translate.c:300"))) == "destroy"
    assert find_crash_function(stack_from_text(text.format("destroy ()"))) is None


def test_addresses_outside_of_all_objects_are_skipped() -> None:
    assert find_crash_function(stack_of(None, None, "play")) == "play"


def test_nameless_checks_before_an_assertion_are_skipped() -> None:
    asterisk, module = "/usr/sbin/asterisk", "/usr/lib/asterisk/modules/chan_x.so"
    inside = stack_of_objects((None, asterisk), ("__ao2_lock", asterisk), ("play", asterisk))
    after = stack_of_objects(("__ast_assert_failed", asterisk), (None, asterisk), ("play", asterisk))
    behind = stack_of_objects((None, asterisk), ("__ao2_lock", asterisk), (None, module), ("pbx_exec", asterisk))

    found = [find_crash_function(CrashStack(each.frames, assertion_function="")) for each in (inside, after, behind)]

    assert found == ["play", "play", None]


def test_the_code_that_a_signal_interrupted_is_the_crash() -> None:
    text = "#0  0x1 in raise ()\n#1  0x2 in on_crash ()\n#2  <signal handler called>\n#3  0x3 in play ()\n"

    assert find_crash_function(stack_from_text(text)) == "play"
    assert find_crash_function(stack_from_text("#0  0x1 in play ()\n#1  <signal handler called>\n")) == "play"


def test_a_reference_counting_function_is_named_if_nothing_else_is() -> None:
    assert find_crash_function(stack_of("__ao2_ref")) == "__ao2_ref"
    assert find_crash_function(stack_of("__ast_assert_failed", "__ao2_ref")) is None


def test_lock_wrappers_are_skipped() -> None:
    frames = stack_of(
        "__lll_lock_wait", "pthread_mutex_lock", "__ast_pthread_mutex_lock", "__ao2_lock", "hang.isra.0", "f"
    )

    assert find_crash_function(frames) == "hang"
