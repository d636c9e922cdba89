"""The groups of tests that run in the emulated machine: those that depend on the processor or on the kernel.

An extraction takes ten times as long there, so that of tests with many parameters some of the combinations are enough.
"""

_EXTRACTION = "tests/integration/test_extraction.py"
_HEAVY = "tests/integration/test_heavy_cores.py"
_SYMBOLS = "tests/integration/test_symbols.py"
_SYMBOLS_TEST = f"{_SYMBOLS}::test_lazy_symbols_give_the_same_texts_except_for_names_next_to_pointers"
_DEADLOCK = "tests/integration/test_deadlock.py"
_CONFINEMENT = "tests/integration/test_confinement.py"

_BUILDS_AND_CRASHES = (
    *("debug-segv", "optimized-segv", "stripped-segv"),
    *("debug-smash", "optimized-abort", "optimized-recurse", "stripped-double-free", "stripped-deadlock"),
)

SERVICE = "service"
"""The group that needs systemd as process 1. The others run without, which is faster."""

GROUPS: dict[str, tuple[str, ...]] = {
    "structures": (
        "tests/unit/elf",
        "tests/unit/capture",
        "tests/unit/diagnosis/deadlock/test_lock_state.py",
        "tests/unit/lib/test_exchange.py",
        "tests/unit/lib/test_scheduling.py",
    ),
    "sandbox": (
        "tests/unit/extraction/test_sandbox_kernel.py",
        "tests/unit/extraction/test_sandbox_command.py",
        "tests/unit/extraction/test_script_archive.py",
        f"{_CONFINEMENT}::test_gdb_runs_as_a_dedicated_user_without_capabilities",
        f"{_CONFINEMENT}::test_gdb_cannot_read_private_files_and_cannot_write",
    ),
    "extraction": (
        f"{_EXTRACTION}::test_the_backtrace_equals_the_output_of_the_documented_command",
        f"{_EXTRACTION}::test_the_five_files_for_issue_triage_have_the_expected_content",
        f"{_EXTRACTION}::test_each_kind_of_crash_is_diagnosed",
        f"{_HEAVY}::test_of_a_runaway_recursion_the_innermost_frames_are_shown",
    ),
    "symbols": tuple(f"{_SYMBOLS_TEST}[{each}]" for each in _BUILDS_AND_CRASHES),
    "locks": ("tests/integration/test_lock_scenes.py",),
    "captures": (
        f"{_DEADLOCK}::test_threads_that_wait_for_each_other_are_a_deadlock",
        f"{_DEADLOCK}::test_a_capture_has_the_same_backtraces_as_gdb_on_the_process",
        f"{_DEADLOCK}::test_the_process_continues_to_run",
        f"{_DEADLOCK}::test_a_process_that_was_stopped_before_stays_stopped",
        f"{_DEADLOCK}::test_a_capture_killed_at_any_time_leaves_the_process_running",
        f"{_DEADLOCK}::test_a_crash_record_contains_whether_threads_were_deadlocked",
    ),
    SERVICE: ("tests/arm64/test_service.py",),
}
"""The tests to run, by the name of the group."""
