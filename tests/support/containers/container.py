"""A throw-away Debian machine with a real systemd, booted from the cached image.

    with Container.booted() as container:
        container.run("systemctl", "is-active", "asterisk.service")

It has no network but its own loopback. All that it writes is deleted with it, and the image stays as it was.
`core_pattern` and the other kernel settings are those of the machine: a container can read them, not change them.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.containers.image import FORKY, Suite, cached_image, images_directory
from tests.support.containers.nspawn import ENVIRONMENT, boot

COMMAND_SECONDS = 60


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Return as soon as the condition holds; where it does not in time, fail and say what was awaited."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds} s: {what}")
        time.sleep(0.05)


@dataclass(frozen=True)
class Container:
    """A running container, known by the process id that its init has on this machine."""

    init: int

    @classmethod
    @contextmanager
    def booted(cls, suite: Suite = FORKY) -> Iterator["Container"]:
        """A container whose systemd has finished starting up; gone, with all it wrote, at the end of the block."""
        scratch = tempfile.TemporaryDirectory(prefix="container-", dir=images_directory())
        with scratch as directory, boot(cached_image(suite), Path(directory)) as starting:
            yield cls(starting.wait())

    def run(
        self, *argv: str, check: bool = True, timeout: float = COMMAND_SECONDS, stdin: int = subprocess.DEVNULL
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as the container's root, standard output and error captured; unchecked, any status will do."""
        name_spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
        completed = subprocess.run(
            ("nsenter", f"--target={self.init}", *name_spaces, *argv),
            stdin=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=ENVIRONMENT,
        )
        if check and completed.returncode:
            said = completed.stdout + completed.stderr
            raise AssertionError(f"{' '.join(argv)}: exit status {completed.returncode}\n{said}")
        return completed

    def modes_below(self, directory: str) -> dict[str, str]:
        """Mode, owner and group of a directory and all below it, links left out, by path below it."""
        listing = self.run("find", directory, "!", "-type", "l", "-printf", "%P\t%m %u:%g\n").stdout
        return dict(line.split("\t") for line in listing.splitlines())

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file of the container's."""
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            os.chmod(file.name, mode)
            self.copy_in(Path(file.name), path)

    def copy_in(self, source: Path, destination: str) -> None:
        """Copy a file, or what a directory holds, from this machine to that path in the container."""
        self.run("mkdir", "--parents", os.path.dirname(destination))
        # An open descriptor is the one way by which the container can see a file of this machine.
        descriptor = os.open(source, os.O_RDONLY)
        try:
            self.run("cp", "-rH", "--no-target-directory", "/proc/self/fd/0", destination, stdin=descriptor)
        finally:
            os.close(descriptor)
