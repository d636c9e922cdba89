"""Asterisk as people build it: each scene gives the right function, verdict and advice, and each deadlock is found."""

from collections.abc import Iterator

import pytest

from tests.support.containers.asterisk_builds import (
    BOOKWORM_DEBUG,
    BOOKWORM_DEFAULT,
    DETECT_DEADLOCKS,
    FORKY_DEBUG,
    Build,
)
from tests.support.containers.built_asterisk import MODULE, BuiltAsterisk

pytestmark = pytest.mark.nightly

WITH_DEBUG_THREADS = (FORKY_DEBUG, BOOKWORM_DEBUG)


@pytest.fixture(scope="module", params=WITH_DEBUG_THREADS, ids=lambda build: build.name)
def pbx(request: pytest.FixtureRequest) -> Iterator[BuiltAsterisk]:
    """One machine for each build with DEBUG_THREADS; each test starts Asterisk again."""
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
        ("recurse", "evaluate_variable", "evaluate_variable and evaluate_expression call each other 2,6"),
    ],
)
def test_a_crash_is_usable_and_names_the_right_function(
    pbx: BuiltAsterisk, scene: str, function: str, headline: str
) -> None:
    pbx.start()

    diagnosis = pbx.crash(scene)["diagnosis"]

    assert diagnosis["crash_function"] == function
    assert headline in diagnosis["headline"]
    assert diagnosis["verdict"] == "usable"
    assert not any("debug symbols" in line for line in diagnosis["advice"])


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
]


@pytest.mark.parametrize(("scene", "locks"), DEADLOCKS)
def test_a_deadlock_is_found_and_named_in_a_capture_and_in_a_crash(
    pbx: BuiltAsterisk, scene: str, locks: set[str]
) -> None:
    pid = pbx.start()

    captured = pbx.capture(scene, "--interval", "1s")
    pbx.container.run("kill", "-ABRT", str(pid))
    record = pbx.extract(pbx.wait_for_core())

    assert captured["finding"] == "deadlock"
    assert {wait["lock_name"] for wait in captured["wait_for"]} == locks
    assert record["diagnosis"]["deadlock"] is True
    assert record["signature"]["text"].startswith("deadlock in ")


@pytest.mark.parametrize(("scene", "locks"), DEADLOCKS)
def test_a_deadlock_is_found_in_a_build_that_polls_its_locks(pbx: BuiltAsterisk, scene: str, locks: set[str]) -> None:
    pbx.start(DETECT_DEADLOCKS)

    captured = pbx.capture(scene, "--interval", "1s")

    assert captured["finding"] == "deadlock"
    assert {wait["lock_name"] for wait in captured["wait_for"]} == locks


@pytest.mark.parametrize("scene", ["lock_recursively", "wait_on_condition"])
def test_a_thread_that_only_waits_is_no_deadlock(pbx: BuiltAsterisk, scene: str) -> None:
    pbx.start()

    assert pbx.capture(scene, "--interval", "1s")["finding"] == "none"


@pytest.mark.parametrize("scene", ["lock_mutexes", "lock_objects", "lock_object_rw"])
def test_a_deadlock_is_found_without_debug_threads(plain_pbx: BuiltAsterisk, scene: str) -> None:
    plain_pbx.start()

    assert plain_pbx.capture(scene, "--interval", "1s")["finding"] == "deadlock"


def test_without_debug_threads_nobody_knows_the_readers_of_a_lock(plain_pbx: BuiltAsterisk) -> None:
    plain_pbx.start()

    captured = plain_pbx.capture("lock_readers", "--interval", "1s")

    assert captured["finding"] == "stuck"
    assert "held by unknown readers" in captured["summary"]
