"""Runs `astbtd` commands in forks of one process that has the library of faults loaded: thousands of kills in minutes.

As a program, it reads a request per line and answers each with the exit status, as os.waitpid gives it.
"""

import contextlib
import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.faults import LIBRARY

NO_FAULT = 0


@dataclass(frozen=True)
class Request:
    """A command, further variables for it, and the number of the change of a file at which it is killed.

    If `torn`, it is killed after half of a write.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    at: int = NO_FAULT
    torn: bool = False


@dataclass(frozen=True)
class ForkedCommands:
    """The running program."""

    process: "subprocess.Popen[str]"

    def run(self, request: Request) -> int:
        """Run a command to its end, and return its exit code, or the negative number of the signal."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{json.dumps(asdict(request))}\n")
        self.process.stdin.flush()
        return os.waitstatus_to_exitcode(int(self.process.stdout.readline()))


@contextlib.contextmanager
def forked_commands(programs: Path, directory: Path) -> Iterator[ForkedCommands]:
    """Start the program. Changes of files below `directory` count."""
    environment = {
        **os.environ,
        "LD_PRELOAD": str(programs / LIBRARY),
        "FAULTS_BELOW": str(directory),
        "FAULTS_EXCEPT": "",
        "FAULTS_HOW": "kill",
    }
    command = (sys.executable, "-m", "tests.support.forked_commands")
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield ForkedCommands(process)
        process.communicate()


def _serve() -> None:
    library = ctypes.CDLL(None)
    for line in sys.stdin:
        child = os.fork()
        if not child:
            request = Request(**json.loads(line))
            os._exit(_run(request, library))
        sys.stdout.write(f"{os.waitpid(child, 0)[1]}\n")
        sys.stdout.flush()


def _run(request: Request, library: ctypes.CDLL) -> int:
    """Run a command in a fork. What it prints goes to standard error."""
    from astbtd.cli.main import main

    os.environ.update(request.environment)
    library.set_fault(ctypes.c_ulong(request.at), request.torn)
    with contextlib.redirect_stdout(sys.stderr):
        return main(request.arguments)


if __name__ == "__main__":
    import astbtd.cli.commands.notify  # noqa: F401 # once, not in each fork

    _serve()
