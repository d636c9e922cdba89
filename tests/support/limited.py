"""Runs a program under limits for it alone: `python -m tests.support.limited max_inotify_watches=3 -- PROGRAM ...`.

A user namespace of its own, in which all users are who they were, has limits of its own (namespaces(7), sysctl user.*).
"""

import ctypes
import os
import sys
from pathlib import Path

_NEW_USER_NAMESPACE = 0x10000000
_EVERYBODY = "0 0 65536"


def main() -> None:
    """Becomes the program."""
    separator = sys.argv.index("--")
    _enter_user_namespace()
    for limit in sys.argv[1:separator]:
        name, value = limit.split("=")
        Path("/proc/sys/user", name).write_text(value)
    os.execvp(sys.argv[separator + 1], sys.argv[separator + 1 :])  # noqa: S606 - what the tests name


def _enter_user_namespace() -> None:
    """Only a process of the namespace outside may say who is who in ours."""
    entered, tell = os.pipe()
    helper = os.fork()
    if helper == 0:
        os.read(entered, 1)
        for kind in ("uid_map", "gid_map"):
            Path(f"/proc/{os.getppid()}/{kind}").write_text(_EVERYBODY)
        os._exit(0)
    if ctypes.CDLL(None, use_errno=True).unshare(_NEW_USER_NAMESPACE):
        raise OSError(ctypes.get_errno(), "unshare")
    os.write(tell, b"x")
    os.waitpid(helper, 0)


if __name__ == "__main__":
    main()
