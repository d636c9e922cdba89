"""Runs tests in the emulated machine and prints what it ran on the console; then switches it off.

Its arguments are names of groups, or of tests as pytest wants them.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.arm64.groups import GROUPS
from tests.support.commands import BUILT_PROGRAMS

BUILT = Path("build/arm64")
"""Where the test programs are that were built before, in the checkout."""

_CONSOLE = Path("/dev/ttyAMA0")
_USERS = Path("packaging/systemd/sysusers.d/astbtd.conf")


def run(groups: list[str]) -> int:
    """Run groups of tests, or single ones, and print the results. Return the exit status: 0 if all have passed."""
    tests = [test for group in groups for test in GROUPS.get(group, (group,))]
    output = ("--hypothesis-profile=emulated", "-v", "-rs", "--color=no", "--durations=10", "-p", "no:cacheprovider")
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
    status = run(sys.argv[1:])
    print(f"the tests in the machine have ended: exit status {status}", flush=True)  # noqa: T201
    os.sync()
    Path("/proc/sysrq-trigger").write_text("o")  # switch off


if __name__ == "__main__":
    main()
