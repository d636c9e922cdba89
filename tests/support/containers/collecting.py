"""systemd-coredump at work in a container: the kernel's part of it, which is this machine's, and the container's."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.containers.container import Container
from tests.support.harness import scratch_directory
from tests.support.kernel import core_pattern

COLLECTION = "/var/lib/systemd/coredump"
_PROGRAM = "/usr/lib/systemd/systemd-coredump"

# Stands on this machine, where the kernel runs what core_pattern names, and goes on in the container, as the kernel of
# a machine of its own would: with the core on standard input and the process still in /proc.
_FORWARD = f"""#!/bin/sh
container=$1
shift
exec nsenter --target="$container" --mount --uts --ipc --net --pid --cgroup --root --wd {_PROGRAM} "$@"
"""


def configure(container: Container, *settings: str) -> None:
    """Replaces what is set for it."""
    container.write("/etc/systemd/coredump.conf.d/test.conf", "\n".join(["[Coredump]", *settings, ""]))


@contextmanager
def collected_by_systemd(container: Container) -> Iterator[None]:
    """Lets systemd-coredump keep the cores of a container; core_pattern has its name, on both sides."""
    container.run("systemctl", "start", "systemd-coredump.socket")
    with scratch_directory() as directory:
        forward = directory / "systemd-coredump"
        forward.write_text(_FORWARD)
        forward.chmod(0o755)
        container.run("mkdir", "--parents", str(directory))
        container.run("ln", "--symbolic", _PROGRAM, str(forward))
        with core_pattern(f"|{forward} {container.init} %p %u %g %s %t %c %h"):
            yield
