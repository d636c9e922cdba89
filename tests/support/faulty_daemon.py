"""Runs astbtd with one fault, for what does not fail on cue: `python -m tests.support.faulty_daemon FAULT ... run ...`.

The arguments after the faults are a command line of `python -m astbtd`. Each fault happens once. A file named by the
environment variable FAULT_MARK is created when a fault has happened, and none happens if it exists already.
"""

import errno
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import NoReturn

from astbtd import settings
from astbtd.announce import systemd
from astbtd.claims import claim_file, core_judge, examinations, hard_links
from astbtd.claims.claim import Claim
from astbtd.claims.finder import CoreRenamed
from astbtd.claims.findings import Finding
from astbtd.cli.main import main
from astbtd.daemon import death_monitor
from astbtd.daemon.jobs import Job, ProcessClaim
from astbtd.daemon.worker import Worker
from astbtd.extraction.gdb_runner import Extractor
from astbtd.lib import sparse

_MARK = Path(os.environ.get("FAULT_MARK", "/nonexistent/mark"))
_TIMEOUT = 60.0


def is_first() -> bool:
    """Return whether no fault has happened yet, and remember that one happens now."""
    try:
        os.close(_open(_MARK, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return False
    return True


def forget_claim() -> None:
    """The worker does not receive the first claim, and nobody closes it."""
    submit = Worker.submit
    forgotten: list[Claim] = []

    def forget(worker: Worker, claim: Claim) -> None:
        if is_first():
            forgotten.append(claim)
        else:
            submit(worker, claim)

    Worker.submit = forget  # type: ignore[method-assign, assignment]


def rename_when_taken() -> None:
    """The core is renamed to FAULT_TARGET when the worker has taken its claim; it continues once that was noticed."""
    wait_for_job, submit_rename, noticed = Worker._wait_for_job, Worker.submit_rename, threading.Event()

    def take_and_rename(worker: Worker) -> Job | None:
        job = wait_for_job(worker)
        if isinstance(job, ProcessClaim) and is_first():
            os.rename(os.environ["FAULT_SOURCE"], os.environ["FAULT_TARGET"])
            noticed.wait(_TIMEOUT)
        return job

    def notice(worker: Worker, rename: CoreRenamed) -> None:
        submit_rename(worker, rename)
        noticed.set()

    Worker._wait_for_job = take_and_rename  # type: ignore[method-assign, assignment]
    Worker.submit_rename = notice  # type: ignore[method-assign, assignment]


def fail_to_open(number: int, *, reopened: bool) -> Callable[[], None]:
    """Opening the file `core` fails, by its name, or of the handle for it (`reopened`)."""

    def fails(path: object, flags: int) -> bool:
        if not reopened:
            return path == "core" and bool(flags & os.O_PATH)
        text = str(path)
        return text.startswith("/proc/self/fd/") and os.readlink(text).endswith("/spool/core")

    def install() -> None:
        def open_or_fail(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if fails(path, flags) and is_first():
                raise OSError(number, os.strerror(number), path)
            return _open(path, flags, mode, dir_fd=dir_fd)

        os.open = open_or_fail  # type: ignore[assignment]

    return install


def refuse_claim_file() -> None:
    """The first claim file cannot be created, since the disk is full."""
    write = claim_file.ClaimFiles.write

    def fail(claim_files: claim_file.ClaimFiles, crash_id: str, record: claim_file.ClaimRecord) -> int:
        if is_first():
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return write(claim_files, crash_id, record)

    claim_file.ClaimFiles.write = fail  # type: ignore[method-assign, assignment]


def replace_before_removal() -> None:
    """The next crash puts its core, FAULT_SOURCE, in the place of the core that is about to be removed."""
    inode = hard_links._inode

    def replace_after_comparison(directory: int, name: str) -> int:
        found = inode(directory, name)
        if name == "core" and is_first():
            os.unlink("core", dir_fd=directory)
            os.rename(os.environ["FAULT_SOURCE"], "core", dst_dir_fd=directory)
        return found

    hard_links._inode = replace_after_comparison


def hang_up_early() -> None:
    """SIGHUP arrives when the daemon has just read its configuration, before it can handle signals."""
    load = settings.load

    def load_and_hang_up(*arguments: Path | None) -> settings.Settings:
        loaded = load(*arguments)
        if is_first():
            os.kill(os.getpid(), signal.SIGHUP)
        return loaded

    settings.load = load_and_hang_up  # type: ignore[assignment]


def replace_journal() -> None:
    """The journal has the entries of the file FAULT_ENTRIES, one JSON object a line; asterisk.service runs the PBX."""

    def read(_: object, since: float) -> Iterator[dict[str, object]]:
        path = Path(os.environ["FAULT_ENTRIES"])
        for line in path.read_text().splitlines() if path.exists() else ():
            entry = json.loads(line)
            if entry["at"] >= since:
                yield {**entry, "__REALTIME_TIMESTAMP": datetime.fromtimestamp(entry["at"], UTC)}

    systemd.entries_since = read  # type: ignore[assignment]
    vars(death_monitor)["pbx_users"] = SimpleNamespace(find_units=lambda _: {"asterisk.service"})


def hang_in_examination() -> None:
    """The examination of the first file called core.slow does not end."""
    judge = core_judge.CoreJudge.judge

    def hang(of: core_judge.CoreJudge, file: core_judge.OpenFile) -> Finding:
        if file.name == "core.slow" and is_first():
            threading.Event().wait()
        return judge(of, file)

    core_judge.CoreJudge.judge = hang  # type: ignore[method-assign, assignment]


def small_budgets() -> None:
    """All that is no core of Asterisk exceeds the budget of its owner."""
    examinations._OWNER_SECONDS = 0.0


def short_time() -> None:
    """Each file may take half a second of processor time only."""
    examinations._FILE_SECONDS = 0.5


def die_in_extraction() -> None:
    """The kernel kills the daemon whenever it extracts a core, for want of memory."""

    def die(*_: object, **__: object) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("unreachable: the process is dead")

    Extractor.extract = die  # type: ignore[method-assign]


def stop_while_copying() -> None:
    """The daemon is told to stop while it copies the first MiB of an object. It reports each MiB that it copies."""
    copy, stop, is_stopping = sparse.copy, Worker.stop, threading.Event()

    def notice(worker: Worker) -> list[Claim]:
        worker._stopping = True
        is_stopping.set()
        return stop(worker)

    def copy_and_stop(source: int, target: int, heartbeat: Callable[[], None] = lambda: None) -> None:
        def report_and_go_on() -> None:
            sys.stderr.write("astbtd: copied 1 MiB\n")
            if is_first():
                os.kill(os.getpid(), signal.SIGTERM)
                is_stopping.wait(_TIMEOUT)
            heartbeat()

        is_object = os.readlink(f"/proc/self/fd/{source}").endswith(".so")
        copy(source, target, report_and_go_on if is_object else heartbeat)

    Worker.stop = notice  # type: ignore[method-assign, assignment]
    sparse.copy = copy_and_stop


FAULTS: dict[str, Callable[[], None]] = {
    "forget-claim": forget_claim,
    "rename-when-taken": rename_when_taken,
    "open-eio": fail_to_open(errno.EIO, reopened=False),
    "open-enfile": fail_to_open(errno.ENFILE, reopened=False),
    "reopen-eio": fail_to_open(errno.EIO, reopened=True),
    "hang-up-early": hang_up_early,
    "replace-journal": replace_journal,
    "refuse-claim-file": refuse_claim_file,
    "replace-before-removal": replace_before_removal,
    "hang-in-examination": hang_in_examination,
    "small-budgets": small_budgets,
    "short-time": short_time,
    "die-in-extraction": die_in_extraction,
    "stop-while-copying": stop_while_copying,
}

_open = os.open


def run(arguments: list[str]) -> int:
    """Install the faults that are named first, then run the command that follows them."""
    while arguments[0] in FAULTS:
        FAULTS[arguments.pop(0)]()
    command = arguments[arguments.index("astbtd") + 1 :]
    sys.argv = ["astbtd", *command]
    return main(command)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
