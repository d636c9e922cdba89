"""`make test-arm64`: make the root file system if it is missing, boot the machine, run the tests in it.

python -m tests.arm64 [GROUP...]
"""

import sys
import time

from tests.arm64.in_machine import GROUPS, SERVICE
from tests.arm64.machine import run_tests
from tests.arm64.root import cached_root


def main() -> int:
    """Return the exit status: 0 if all tests have passed."""
    root = cached_root()
    groups = tuple(sys.argv[1:]) or tuple(GROUPS)
    boots = (tuple(group for group in groups if group != SERVICE), False), (tuple({SERVICE} & set(groups)), True)
    status = 0
    for selected, systemd in boots:
        if selected:
            started = time.monotonic()
            ended = run_tests(root, sys.stdout, selected, systemd=systemd)
            status = status or ended
            seconds = time.monotonic() - started
            print(f"arm64: {', '.join(selected)}: exit status {ended}, {seconds:.0f} s with the boot")  # noqa: T201
    return status


if __name__ == "__main__":
    sys.exit(main())
