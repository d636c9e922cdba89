"""Makes docs/examples: what astbtd wrote of crashes of a real Asterisk, and of a small program with a PBX's state.

    python -m tests.examples PROGRAMS DIRECTORY

Nothing in it is edited. It boots the container of the system tests; PROGRAMS is a build of tests/programs/pbx.
"""

import sys
from pathlib import Path

from tests.support.containers.asterisk import Crash
from tests.support.containers.machine import Machine, booted
from tests.support.containers.service import STORE, Record
from tests.support.kernel import cores_in_working_directory

REPORTS = {
    Crash.SEGV: "report-fault.txt",
    Crash.ABORT: "report-abort.txt",
    Crash.DOUBLE_FREE: "report-double-free.txt",
    Crash.SMASH: "report-heap-smash.txt",
}
TEXTS = {"report.txt": "report-pbx-state.txt", "info.txt": "info.txt", "locks.txt": "locks.txt"}
PATIENCE = 600  # seconds; the first crash of a build takes longest, because its programs and modules are kept
PROGRAM = "/srv/pbx/asterisk"


def crash_asterisk(machine: Machine, directory: Path) -> None:
    """The reports of a real Asterisk's crashes, and the log of the last one."""
    for how, name in REPORTS.items():
        crashed = machine.service.collected(machine.asterisk.crash(how), PATIENCE)
        copy(machine, crashed, "report.txt", directory / name)
    signalled = machine.service.collected(machine.asterisk.crash_by_signal(), PATIENCE)
    copy(machine, signalled, "report.txt", directory / "report-signal.txt")
    aborted = machine.service.collected(machine.asterisk.abort_by_watchdog(), PATIENCE)
    copy(machine, aborted, "report.txt", directory / "report-watchdog.txt")
    copy(machine, aborted, "log.txt", directory / "log.txt")


def copy(machine: Machine, record: Record, name: str, target: Path) -> None:
    """Copy a file of a crash out of the container."""
    target.write_text(machine.container.run("cat", f"{STORE}/crashes/{record['id']}/{name}").stdout)


def crash_program(machine: Machine, program: Path, directory: Path) -> None:
    """The report, info.txt and locks.txt of the program that holds the state of a PBX."""
    machine.container.copy_in(program, PROGRAM)
    machine.container.run("sh", "-c", f"cd /srv/pbx; ulimit -c unlimited; {PROGRAM}", check=False)
    machine.service.command("extract", "--output", "/srv/pbx/texts", "/srv/pbx/core")
    for section, name in TEXTS.items():
        (directory / name).write_text(machine.container.run("cat", f"/srv/pbx/texts/{section}").stdout)


def main(programs: Path, directory: Path) -> None:
    """All of them."""
    with cores_in_working_directory(), booted() as machine:
        crash_asterisk(machine, directory)
        crash_program(machine, programs / "pbx-22/asterisk", directory)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
