"""Asterisk as people build it: each scene gives the right function, verdict and advice, and each deadlock is found."""

import sys
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.containers.asterisk_builds import (
    BOOKWORM_DEBUG,
    BOOKWORM_DEFAULT,
    BUILDS,
    DETECT_DEADLOCKS,
    FORKY_DEBUG,
    Build,
)
from tests.support.containers.both_dumpers import run_astbtd, run_coredumper
from tests.support.containers.built_asterisk import MODULE, BuiltAsterisk
from tests.support.coredumper import compare, same_frames
from tests.support.extractions import without_pointer_names

pytestmark = pytest.mark.nightly

WITH_DEBUG_THREADS = (FORKY_DEBUG, BOOKWORM_DEBUG)
BUSY_CAPTURES = 100


@pytest.fixture(scope="module", params=BUILDS, ids=lambda build: build.name)
def pbx(request: pytest.FixtureRequest) -> Iterator[BuiltAsterisk]:
    """One machine for each build; each test starts Asterisk again."""
    with BuiltAsterisk.booted(request.param) as asterisk:
        yield asterisk


@pytest.fixture(scope="module", params=WITH_DEBUG_THREADS, ids=lambda build: build.name)
def debug_pbx(request: pytest.FixtureRequest) -> Iterator[BuiltAsterisk]:
    """One machine for each build with DEBUG_THREADS."""
    with BuiltAsterisk.booted(request.param) as asterisk:
        yield asterisk


@pytest.fixture(scope="module")
def plain_pbx() -> Iterator[BuiltAsterisk]:
    """A machine with a build without DEBUG_THREADS."""
    build: Build = BOOKWORM_DEFAULT
    with BuiltAsterisk.booted(build) as asterisk:
        yield asterisk


@pytest.mark.parametrize(
    ("scene", "function", "headline"),
    [
        ("segv", "write_to_null", "SIGSEGV in write_to_null"),
        ("call_null", "invoke_indicate", "jumped to address 0, called from invoke_indicate"),
        ("call_heap", "call_heap", "which contains no code, called from call_heap"),
        ("unloaded_library", "call_unloaded", "which contains no code, called from call_unloaded"),
        ("unload_beneath_thread", "poll_vendor", "which contains no code, called from poll_vendor"),
        ("overwrite_stack", "copy_header", "the frame of copy_header was overwritten"),
        ("overwrite_guarded_stack", "copy_guarded", "the frame of copy_guarded was overwritten"),
        ("recurse", "evaluate_variable", "evaluate_variable and evaluate_expression call each other 2,6"),
        ("abort", "handle_abort", "SIGABRT in handle_abort"),
    ],
)
def test_a_crash_names_the_right_function_and_is_usable_if_nothing_is_optimized(
    pbx: BuiltAsterisk, scene: str, function: str, headline: str
) -> None:
    pbx.start()

    record = pbx.crash(scene)

    diagnosis = record["diagnosis"]
    advice = "\n".join(diagnosis["advice"])
    assert record["foreign"] is False
    assert diagnosis["crash_function"] == function
    assert headline in diagnosis["headline"]
    assert diagnosis["verdict"] == ("usable" if pbx.build.options else "partial")
    assert ("DONT_OPTIMIZE" in advice) == (not pbx.build.options)
    assert "debug symbols" not in advice


def test_a_crash_in_the_library_of_a_vendor_is_reported_to_the_vendor(pbx: BuiltAsterisk) -> None:
    pbx.start()

    diagnosis = pbx.crash("decode_with_vendor")["diagnosis"]

    assert diagnosis["crash_function"] == "vendor_decode"
    assert diagnosis["verdict"] == "partial"
    assert any("/opt/vendor/libvendor.so, which is not a part of Asterisk" in each for each in diagnosis["reasons"])
    assert any(each.startswith("Report it to the supplier of /opt/vendor/libvendor.so") for each in diagnosis["advice"])


def test_frames_in_a_module_that_was_replaced_have_no_names(pbx: BuiltAsterisk) -> None:
    pbx.start()
    pbx.replace_module()

    record = pbx.crash("segv")

    pbx.install_scenes()
    replaced = [each["path"] for each in record["objects"] if each["state"] == "replaced"]
    assert replaced == [f"{pbx.modules}/{MODULE}.so"]
    assert record["diagnosis"]["verdict"] == "unusable"
    assert record["diagnosis"]["crash_function"] is None
    assert f"{MODULE}.so, which was replaced at" in record["diagnosis"]["headline"]
    assert "scenes.c" not in pbx.section(record, "thread1.txt")


def test_an_object_that_is_used_after_its_release_fails_an_assertion_and_crashes_nothing(pbx: BuiltAsterisk) -> None:
    pid = pbx.start()

    log = pbx.fail_assertion("use_released_object")
    diagnosis = pbx.diagnose(log)

    has_names = "BETTER_BACKTRACES" in pbx.build.options
    assert pbx.pid() == pid, "Asterisk checks the object and goes on"
    assert diagnosis["kind"] == "assertion"
    assert diagnosis["crash_function"] == ("use_released_object" if has_names else None)
    assert diagnosis["verdict"] == ("usable" if has_names else "unusable")
    assert any("BETTER_BACKTRACES" in each for each in diagnosis["advice"]) != has_names
    assert any("DO_CRASH" in each for each in diagnosis["advice"])


def test_a_signal_of_another_process_is_not_a_crash(pbx: BuiltAsterisk) -> None:
    pid = pbx.start()
    pbx.container.run("kill", "-SEGV", str(pid))

    record = pbx.extract(pbx.wait_for_core())

    assert record["kind"] == "sent"
    assert record["sent_by"]["uid"] == 0
    assert record["diagnosis"]["headline"].endswith("not a fault of Asterisk, do not file")


DEADLOCKS = [
    ("lock_mutexes", {"mutex_a", "mutex_b"}),
    ("lock_objects", {"object_one", "object_two"}),
    ("lock_object_rw", {"object_one", "object_rw"}),
    ("lock_readers", {"mutex_a", "routes"}),
    ("lock_channel", {"mutex_a", "channel"}),
]


@pytest.mark.parametrize(("scene", "locks"), DEADLOCKS)
def test_a_deadlock_is_found_and_named_in_a_capture_and_in_a_crash(
    debug_pbx: BuiltAsterisk, scene: str, locks: set[str]
) -> None:
    pid = debug_pbx.start()

    captured = debug_pbx.capture(scene, "--interval", "1s")
    debug_pbx.container.run("kill", "-ABRT", str(pid))
    record = debug_pbx.extract(debug_pbx.wait_for_core())

    assert captured["finding"] == "deadlock"
    assert {wait["lock_name"] for wait in captured["wait_for"]} == locks
    assert record["diagnosis"]["deadlock"] is True
    assert record["signature"]["text"].startswith("deadlock in ")


@pytest.mark.parametrize(("scene", "locks"), DEADLOCKS)
def test_a_deadlock_is_found_in_a_build_that_polls_its_locks(
    debug_pbx: BuiltAsterisk, scene: str, locks: set[str]
) -> None:
    debug_pbx.start(DETECT_DEADLOCKS)

    captured = debug_pbx.capture(scene, "--interval", "1s")

    assert captured["finding"] == "deadlock"
    assert {wait["lock_name"] for wait in captured["wait_for"]} == locks


@pytest.mark.parametrize("scene", ["lock_recursively", "wait_on_condition"])
def test_a_thread_that_only_waits_is_no_deadlock(pbx: BuiltAsterisk, scene: str) -> None:
    pbx.start()

    assert pbx.capture(scene, "--interval", "1s")["finding"] == "none"


@pytest.mark.parametrize("scene", ["lock_mutexes", "lock_objects", "lock_object_rw", "lock_channel"])
def test_a_deadlock_is_found_without_debug_threads(plain_pbx: BuiltAsterisk, scene: str) -> None:
    plain_pbx.start()

    assert plain_pbx.capture(scene, "--interval", "1s")["finding"] == "deadlock"


def test_without_debug_threads_nobody_knows_the_readers_of_a_lock(plain_pbx: BuiltAsterisk) -> None:
    plain_pbx.start()

    captured = plain_pbx.capture("lock_readers", "--interval", "1s")

    assert captured["finding"] == "stuck"
    assert "held by unknown readers" in captured["summary"]


def test_a_busy_pbx_is_never_called_deadlocked(pbx: BuiltAsterisk) -> None:
    pid = pbx.start()
    pbx.keep_busy()

    findings = Counter(pbx.capture_now("--interval", "1s")["finding"] for _ in range(BUSY_CAPTURES))

    pbx.rest()
    sys.stdout.write(f"{pbx.build.name}: {BUSY_CAPTURES} captures of a busy PBX: {dict(findings)}\n")
    assert pbx.pid() == pid, "Asterisk has not crashed"
    assert findings["deadlock"] == 0
    assert findings["stuck"] == 0
    assert findings["none"] > 0


@pytest.mark.parametrize("scene", ["segv", "recurse", "lock_mutexes"])
def test_lazy_symbols_give_the_same_texts_except_for_names_next_to_pointers(pbx: BuiltAsterisk, scene: str) -> None:
    core = pbx.core_with_calls(scene)

    lazy, everything = (run_astbtd(pbx, core, symbols) for symbols in ("lazy", "all"))

    assert len(lazy["full"]) > len(lazy["brief"]) > 0
    for name, text in lazy.items():
        assert without_pointer_names(text) == without_pointer_names(everything[name]), name


@pytest.mark.parametrize("scene", ["segv", "lock_readers"])
def test_our_files_have_each_fact_that_ast_coredumper_writes_of_the_same_core(pbx: BuiltAsterisk, scene: str) -> None:
    core = pbx.core_with_calls(scene)

    theirs, ours = run_coredumper(pbx, core), run_astbtd(pbx, core)

    compared = compare(theirs, ours)
    assert {each.what: each.missing for each in compared if each.missing} == {}
    assert all(same_frames(theirs[name], ours[name]) for name in ("thread1", "brief", "full"))
    counts = {each.what: each.count for each in compared}
    assert counts["full: frames"] > 100
    assert counts["info: channels"] > 10
    if pbx.build is FORKY_DEBUG:  # in gdb 13, of bookworm, ast_coredumper fails to print the table
        assert counts["locks: rows"] > 10
    assert counts["info: bridges"] > 0
