"""A temporary Debian machine with a real systemd, booted from a cached image.

    with Container.booted() as container:
        container.run("systemctl", "is-active", "asterisk.service")

It has no network except its own loopback interface. All that it writes is deleted with it; the image is not changed.
`core_pattern` and the other kernel settings are those of the machine: a container can read them but not change them.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.containers.asterisk_builds import Build, cached_build
from tests.support.containers.image import FORKY, Suite, cached_image, images_directory
from tests.support.containers.nspawn import ENVIRONMENT, boot

COMMAND_SECONDS = 600
WAIT_SECONDS = 300
"""Limits that only a failing test reaches: in an emulated machine everything takes ten times as long."""


def wait_until(condition: Callable[[], bool], what: str, seconds: float = WAIT_SECONDS) -> None:
    """Wait until the condition holds. Raise TimeoutError, which names `what`, if it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"timeout after {seconds} s: {what}")
        time.sleep(0.05)


@dataclass(frozen=True)
class Container:
    """A running container. `init` is the process id of its init on this machine."""

    init: int

    @classmethod
    @contextmanager
    def booted(cls, suite: Suite | Build = FORKY, image: Path | None = None) -> Iterator["Container"]:
        """Boot a container for the duration of a block, and wait until its systemd has finished starting up.

        `image` replaces the cached image of the suite.
        """
        scratch = tempfile.TemporaryDirectory(prefix="container-", dir=images_directory())
        if image is None:
            image = cached_build(suite) if isinstance(suite, Build) else cached_image(suite)
        with scratch as directory, boot(image, Path(directory)) as starting:
            yield cls(starting.wait())

    def command(self, *argv: str) -> tuple[str, ...]:
        """Return the command line that runs a command as root of the container."""
        namespaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd")
        return "nsenter", f"--target={self.init}", *namespaces, *argv

    def run(
        self, *argv: str, check: bool = True, timeout: float = COMMAND_SECONDS, stdin: int = subprocess.DEVNULL
    ) -> subprocess.CompletedProcess[str]:
        """Run a command as root of the container. Raise AssertionError if it fails, unless `check` is False."""
        completed = subprocess.run(
            self.command(*argv),
            stdin=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            env=ENVIRONMENT,
        )
        if check and completed.returncode:
            output = completed.stdout + completed.stderr
            raise AssertionError(f"{' '.join(argv)}: exit status {completed.returncode}\n{output}")
        return completed

    def modes_below(self, directory: str) -> dict[str, str]:
        """Return mode, owner and group of a directory and all below it except links, by relative path."""
        listing = self.run("find", directory, "!", "-type", "l", "-printf", "%P\t%m %u:%g\n").stdout
        return dict(line.split("\t") for line in listing.splitlines())

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file in the container."""
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(text)
            file.flush()
            os.chmod(file.name, mode)
            self.copy_in(Path(file.name), path)

    def copy_in(self, source: Path, destination: str) -> None:
        """Copy a file, or the contents of a directory, from this machine to a path in the container."""
        self.run("mkdir", "--parents", os.path.dirname(destination))
        # The container can see a file of this machine only through an open descriptor.
        descriptor = os.open(source, os.O_RDONLY)
        try:
            self.run("cp", "-rH", "--no-target-directory", "/proc/self/fd/0", destination, stdin=descriptor)
        finally:
            os.close(descriptor)
