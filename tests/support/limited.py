"""Runs a program under its own limits: `python -m tests.support.limited max_inotify_watches=3 -- PROGRAM ...`.

The program runs in a user namespace, which has limits of its own (namespaces(7), sysctl user.*). All ids are unchanged.
"""

import ctypes
import os
import sys
from pathlib import Path

_NEW_USER_NAMESPACE = 0x10000000
_ALL_IDS = "0 0 65536"


def main() -> None:
    """Set the limits and execute the program."""
    separator = sys.argv.index("--")
    _enter_user_namespace()
    for limit in sys.argv[1:separator]:
        name, value = limit.split("=")
        Path("/proc/sys/user", name).write_text(value)
    os.execvp(sys.argv[separator + 1], sys.argv[separator + 1 :])  # noqa: S606 - a program that a test names


def _enter_user_namespace() -> None:
    """Create a user namespace. A process outside must write the mapping of its ids."""
    entered, notify = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.read(entered, 1)
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{os.getppid()}/{kind}").write_text(_ALL_IDS)
        os._exit(0)
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_USER_NAMESPACE):
        raise OSError(ctypes.get_errno(), "unshare")
    os.write(notify, b"x")
    os.waitpid(helper, 0)


if __name__ == "__main__":
    main()
