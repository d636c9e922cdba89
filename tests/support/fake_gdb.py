"""Programs that the daemon runs in the place of gdb: quick ones, and ones that wait for the test."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.harness import RunningDaemon

QUICK_GDB = "#!/bin/sh\necho Python scripting is not supported in this copy of GDB.\n"
"""A gdb that prints no backtrace, for tests that need many extractions."""

HANGING_GDB = "#!/bin/sh\nexec sleep 1000\n"

# Prints a line when it has started, and runs the real gdb once the test has written to the fifo.
_PAUSED_GDB = """#!/bin/sh
echo started
read line <{gate}
exec gdb "$@"
"""

# Waits for a lock, reports another instance that runs at the same time, and prints the same for every core.
_GATED_GDB = """#!/bin/sh
exec 8<{gate} 9<{alone}
flock --nonblock 9 || echo "{not_alone}"
flock --shared 8
case "$*" in
*python*) echo "Python scripting is not supported in this copy of GDB." ;;
*) echo "#0  0x1 in crash () at crash.c:1" ;;
esac
"""
NOT_ALONE = "another gdb runs"
"""What a gated gdb prints if a second one runs at the same time."""


def only_with_a_core(script: str) -> str:
    """Return a gdb that starts as usual, but runs this shell script in the place of gdb when it is to read a core."""
    return script.replace("#!/bin/sh\n", '#!/bin/sh\ncase "$*" in *\'show version\'*) exec gdb "$@" ;; esac\n', 1)


def write_program(path: Path, script: str) -> Path:
    """Write an executable script that all users may run."""
    path.write_text(script)
    path.chmod(0o755)
    return path


def use_gdb(running: RunningDaemon, spool: Path, script: str, **settings: object) -> None:
    """Configure a daemon that watches `spool` to run a script in the place of gdb."""
    program = write_program(running.configuration.with_name("gdb"), script)
    running.configure({"watch": {"directories": [str(spool)]}, "gdb": {"program": str(program)}, **settings})


@contextmanager
def paused_gdb(running: RunningDaemon, spool: Path, **settings: object) -> Iterator[Callable[[], None]]:
    """Make gdb wait until the end of the block.

    Yield a function that waits until a gdb has started. After the block at least one crash is recorded.
    """
    gate_path = running.configuration.with_name("gate")
    os.mkfifo(gate_path)
    gate_path.chmod(0o644)
    use_gdb(running, spool, _PAUSED_GDB.format(gate=gate_path), **settings)
    gate = os.open(gate_path, os.O_RDWR)

    def is_started() -> bool:
        return any("started" in log.read_text() for log in running.store.incoming.glob("*/gdb.log"))

    try:
        yield lambda: running.wait_until(is_started, "gdb to be started")
    finally:
        os.write(gate, b"\n" * 100)
        running.wait_for_crashes(1)
        os.close(gate)


def gated_gdb(directory: Path) -> Path:
    """Write a gdb into `directory` that does not end while `closed_gate` is in force there."""
    gate, alone = directory / "gate", directory / "alone"
    gate.touch()
    alone.touch()
    return write_program(directory / "gdb", _GATED_GDB.format(gate=gate, alone=alone, not_alone=NOT_ALONE))


@contextmanager
def closed_gate(directory: Path) -> Iterator[None]:
    """Keep the gated gdb in `directory` from ending for the duration of a block."""
    with (directory / "gate").open() as gate:
        fcntl.flock(gate, fcntl.LOCK_EX)
        yield
