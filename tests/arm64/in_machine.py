"""Runs tests in the emulated machine, group by group, and prints what it ran on the console; then switches it off.

Its arguments are names of groups, or of tests as pytest wants them; without any it runs all groups.
"""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.support.commands import BUILT_PROGRAMS

BUILT = Path("build/arm64")
"""Where the test programs are that were built before, in the checkout."""

_CONSOLE = Path("/dev/ttyAMA0")
_USERS = Path("packaging/systemd/sysusers.d/astbtd.conf")

_EXTRACTION = "tests/integration/test_extraction.py"

SERVICE = "service"
"""The group that needs systemd as process 1. The others run without, which is faster."""

GROUPS: dict[str, tuple[str, ...]] = {
    "structures": (
        "tests/unit/elf",
        "tests/unit/capture",
        "tests/unit/diagnosis/deadlock/test_lock_state.py",
        "tests/unit/lib/test_exchange.py",
    ),
    "sandbox": (
        "tests/unit/extraction/test_sandbox_kernel.py",
        "tests/unit/extraction/test_sandbox_command.py",
        "tests/unit/extraction/test_script_archive.py",
        "tests/integration/test_confinement.py",
    ),
    "extraction": (
        f"{_EXTRACTION}::test_the_backtrace_equals_the_output_of_the_documented_command",
        f"{_EXTRACTION}::test_the_five_files_for_issue_triage_have_the_expected_content",
        f"{_EXTRACTION}::test_each_kind_of_crash_is_diagnosed",
        "tests/integration/test_heavy_cores.py::test_of_a_runaway_recursion_the_innermost_frames_are_shown",
    ),
    "symbols": ("tests/integration/test_symbols.py",),
    "locks": ("tests/integration/test_lock_scenes.py",),
    "captures": ("tests/integration/test_deadlock.py",),
    SERVICE: ("tests/arm64/test_service.py",),
}
"""The tests to run, by the name of the group."""


def run(groups: list[str]) -> int:
    """Run groups of tests, or single ones. Return the exit status: 0 if all have passed."""
    status = 0
    times: list[str] = []
    for group in groups:
        started = time.monotonic()
        ended = _pytest(GROUPS.get(group, (group,)))
        status = status or ended
        times.append(f"{group}: {'passed' if ended == 0 else 'FAILED'}, {time.monotonic() - started:.0f} s")
    print("\n".join(times))  # noqa: T201 - the console is read
    return status


def _pytest(tests: tuple[str, ...]) -> int:
    output = ("--hypothesis-profile=emulated", "-v", "-rs", "--color=no", "--durations=5", "-p", "no:cacheprovider")
    command = (sys.executable, "-m", "pytest", *output, "-m", "not nightly", *tests)
    return subprocess.run(command, check=False).returncode


def is_machine() -> bool:
    """Return whether this is the emulated machine: it may be changed and switched off."""
    return "tests.arm64.in_machine" in Path("/proc/cmdline").read_text()


def main() -> None:
    """Run on the console, then switch the machine off."""
    if not is_machine():
        sys.exit("this runs in the emulated machine only: see `make test-arm64`")
    console = os.open(_CONSOLE, os.O_WRONLY | os.O_NOCTTY)
    os.dup2(console, 1)
    os.dup2(console, 2)
    with open("/proc/uptime") as uptime:
        print(f"the tests start after {uptime.read().split('.')[0]} s; {os.uname().machine}", flush=True)  # noqa: T201
    subprocess.run(("systemd-sysusers", str(_USERS.absolute())), check=True)
    os.environ |= {"ASTBTD_PYTHON": sys.executable, BUILT_PROGRAMS: str(BUILT.absolute())}
    status = run(sys.argv[1:] or list(GROUPS))
    print(f"the tests in the machine have ended: exit status {status}", flush=True)  # noqa: T201
    os.sync()
    Path("/proc/sysrq-trigger").write_text("o")  # switch off


if __name__ == "__main__":
    main()
