"""Fixtures of the tests of `astbtd.capture`."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

_PROGRAM = """
import sys, threading
marker = b"a text " + b"in memory"
for _ in range(3):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def threaded() -> Iterator["subprocess.Popen[str]"]:
    """A process with four threads that wait, and a text in its memory."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()
