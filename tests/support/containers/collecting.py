"""systemd-coredump in a container: core_pattern is set on this machine, the program runs in the container."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.containers.container import Container
from tests.support.harness import scratch_directory
from tests.support.kernel import core_pattern

COLLECTION = "/var/lib/systemd/coredump"
_PROGRAM = "/usr/lib/systemd/systemd-coredump"

# The kernel runs this script on this machine. It enters the container and runs systemd-coredump there, with the core on
# standard input and the process still in /proc, as the kernel of a separate machine would.
_FORWARD = f"""#!/bin/sh
container=$1
shift
exec nsenter --target="$container" --mount --uts --ipc --net --pid --cgroup --root --wd {_PROGRAM} "$@"
"""


def configure(container: Container, *settings: str) -> None:
    """Replace the configuration of systemd-coredump."""
    container.write("/etc/systemd/coredump.conf.d/test.conf", "\n".join(["[Coredump]", *settings, ""]))


@contextmanager
def collected_by_systemd(container: Container) -> Iterator[None]:
    """Let systemd-coredump collect the cores of a container for the duration of a block."""
    container.run("systemctl", "start", "systemd-coredump.socket")
    with scratch_directory() as directory:
        forward = directory / "systemd-coredump"
        forward.write_text(_FORWARD)
        forward.chmod(0o755)
        container.run("mkdir", "--parents", str(directory))
        container.run("ln", "--symbolic", _PROGRAM, str(forward))
        with core_pattern(f"|{forward} {container.init} %p %u %g %s %t %c %h"):
            yield
