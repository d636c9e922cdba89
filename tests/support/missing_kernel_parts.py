"""Run a program on a kernel without Landlock or without seccomp: a system call filter makes the calls fail.

As a program: `python -m tests.support.missing_kernel_parts PART... -- COMMAND...`, with the parts `landlock` and
`seccomp`.
"""

import errno
import os
import sys

try:
    import seccomp
except ImportError:
    import pyseccomp as seccomp

_PR_SET_SECCOMP = 22


def remove(parts: list[str]) -> None:
    """Remove parts of the kernel for this process and what it starts."""
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    if "landlock" in parts:
        rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "landlock_create_ruleset")
    if "seccomp" in parts:
        rules.add_rule(seccomp.ERRNO(errno.EINVAL), "seccomp")
        rules.add_rule(seccomp.ERRNO(errno.EINVAL), "prctl", seccomp.Arg(0, seccomp.EQ, _PR_SET_SECCOMP))
    rules.load()


def command_without(parts: list[str], command: list[str]) -> list[str]:
    """Return the command line that runs `command` without these parts of the kernel."""
    return [sys.executable, "-m", "tests.support.missing_kernel_parts", *parts, "--", *command]


if __name__ == "__main__":
    separator = sys.argv.index("--")
    remove(sys.argv[1:separator])
    os.execvp(sys.argv[separator + 1], sys.argv[separator + 1 :])  # noqa: S606 - the command of a test
