"""`make test-arm64`: make the root file system if it is missing, boot the machine, run the tests in it.

python -m tests.arm64 [GROUP...]
"""

import resource
import shutil
import signal
import sys
import time
from pathlib import Path

from tests.arm64.groups import GROUPS, SERVICE
from tests.arm64.machine import PROGRAMS, run_tests
from tests.arm64.root import Unavailable, cached_root


def main() -> int:
    """Return the exit status: 0 if all tests have passed, or if this machine cannot emulate another."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))  # so that temporary files are removed
    groups = tuple(sys.argv[1:]) or tuple(GROUPS)
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        return _skip(f"not installed: {', '.join(missing)}")
    try:
        root = cached_root()
    except Unavailable as reason:
        return _skip(str(reason))
    # Two boots, because most tests need no systemd, and it takes a minute to start.
    others = tuple(group for group in groups if group != SERVICE)
    return max(_run(root, others, systemd=False), _run(root, tuple({SERVICE} & set(groups)), systemd=True))


def _skip(reason: str) -> int:
    print(f"arm64: skipped, nothing was tested: {reason}")  # noqa: T201
    return 0


def _run(root: Path, groups: tuple[str, ...], *, systemd: bool) -> int:
    """Run groups in a machine and print how it went. Return the exit status; 0 if there are no groups."""
    if not groups:
        return 0
    started, used = time.monotonic(), _processor_seconds()
    status = run_tests(root, sys.stdout, groups, systemd=systemd)
    seconds, used = time.monotonic() - started, _processor_seconds() - used
    outcome = "passed" if status == 0 else f"FAILED with exit status {status}"
    print(f"arm64: {', '.join(groups)}: {outcome}, {seconds:.0f} s with the boot, CPU {used:.0f} s")  # noqa: T201
    return status


def _processor_seconds() -> float:
    """Return the CPU time of all processes that this one has waited for: the emulation, and the compilers."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


if __name__ == "__main__":
    sys.exit(main())
