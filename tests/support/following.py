"""Runs `astbtd list --follow` as a process of its own, and reads what it prints."""

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.harness import TIMEOUT


class Follower:
    """A running `astbtd list --follow`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout
        self.process = process
        self._output = process.stdout.fileno()
        self._pending = b""

    def read_line(self) -> str:
        """Wait for the next line. Empty at the end of the output."""
        while b"\n" not in self._pending:
            assert select.select([self._output], [], [], TIMEOUT)[0], "nothing was printed"
            part = os.read(self._output, 65536)
            if not part:
                return self._pending.decode()
            self._pending += part
        line, _, self._pending = self._pending.partition(b"\n")
        return line.decode()

    def interrupt(self) -> int:
        """Send SIGINT, wait for the end, and return the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(TIMEOUT)

    def close_output(self) -> int:
        """Close the reading end of the output, wait for the end, and return the exit code."""
        assert self.process.stdout
        self.process.stdout.close()
        return self.process.wait(TIMEOUT)


@contextmanager
def following(configuration: Path, *options: str) -> Iterator[Follower]:
    """Run `astbtd list --follow` with these options while the block runs."""
    command = [sys.executable, "-m", "astbtd", "--config", str(configuration), "list", "--follow", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            yield Follower(process)
        finally:
            process.kill()
