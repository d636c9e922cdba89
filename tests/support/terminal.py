"""Programs on a pseudo-terminal, and text that would control it."""

import os
import pty
import re
import subprocess
from collections.abc import Sequence

HOSTILE = "x\x1b[2J\x9b31m\u202ey\u2066\u2028\x07\x7f"
"""Control sequences of a terminal, with C0 and C1 characters, and characters that change the direction of text."""

CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\x1b(?!\[[0-9;]*[mK])"
)
"""What no program of ours prints. Colours and the erasing of a line are its own."""


def run_on_terminal(argv: Sequence[str], environment: dict[str, str], *, both_streams: bool) -> tuple[int, bytes]:
    """Run a program with a terminal as standard input and output, and as standard error if `both_streams`.

    Return its exit code and what it wrote there.
    """
    leader, terminal = pty.openpty()
    error = terminal if both_streams else None
    output = b""
    with subprocess.Popen(argv, stdin=terminal, stdout=terminal, stderr=error, env=environment) as process:
        os.close(terminal)
        try:
            while piece := os.read(leader, 1 << 16):
                output += piece
        except OSError:  # EIO: all processes have closed the terminal
            os.close(leader)
    return process.returncode, output
