"""`astbtd deadlock`: capture a running Asterisk and show which threads wait for which."""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

from astbtd.asterisk.identity import PbxIdentity
from astbtd.cli.common import Progress, add_json, load_settings, write_json, write_text
from astbtd.errors import AstbtdError, ExitCode, NothingMatched, UsageError
from astbtd.lib import scheduling
from astbtd.lib.escaping import printable_line
from astbtd.lib.path_walk import opened_directory, remove_file
from astbtd.lib.quantities import parse_duration
from astbtd.model.deadlock_capture import AskedBy, Deadlock
from astbtd.pipeline.capture_pipeline import CapturePipeline, Sampling
from astbtd.pipeline.components import assemble
from astbtd.pipeline.stages import console_socket, open_captures
from astbtd.settings import Settings
from astbtd.sources.watched_directories import find_remembered_identity

_MAX_SAMPLES = 20
_MAX_REQUEST = 32  # bytes of a request, which is a process id
_TICK = 0.2  # seconds between two updates of the progress


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--pid", metavar="PID", type=int, help="process to capture, if several Asterisks run")
    parser.add_argument("--samples", metavar="N", type=_samples, default=2, help="number of samples (default: 2)")
    parser.add_argument(
        "--interval", metavar="TIME", type=_interval, default=5.0, help="time between two samples (default: 5s)"
    )
    parser.add_argument("--wanted", metavar="FILE", type=Path, help=argparse.SUPPRESS)  # for astbtd-deadlock.service
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Capture the process, store the capture, print the result."""
    if os.geteuid() != 0:
        raise AstbtdError("cannot capture a running Asterisk: only root may do so", "sudo astbtd deadlock")
    scheduling.let_others_preempt()
    requested_pid = _take_request(options.wanted)  # first: the path unit starts us as long as the request exists
    settings = load_settings(options)
    asked_by = AskedBy.WATCH if requested_pid else AskedBy.COMMAND
    pid = options.pid or _find_pid(settings, requested_pid)
    _refuse_foreign(pid, find_remembered_identity(settings))
    with Progress(f"capturing process {pid}") as progress:
        parts = assemble(settings, progress.tick)
        parts.store.prepare()
        pipeline = CapturePipeline(
            captures=open_captures(parts),
            reserve=parts.reserve,
            extractor=parts.extractor,
            console=console_socket(settings),
            keep=settings.deadlock.keep,
            announce=_announce,
            sleep=_make_wait(progress.tick),
        )
        sampling = Sampling(options.samples, options.interval, settings.deadlock.limit)
        record, directory = pipeline.run(pid, sampling, asked_by)
    if options.json:
        write_json(record)
    else:
        write_text(_summary(record, directory))
    return ExitCode.DONE


def _samples(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MAX_SAMPLES:
        raise argparse.ArgumentTypeError(f"must be from 1 to {_MAX_SAMPLES}, not {number}")
    return number


def _interval(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"invalid duration {text!r}: use a form such as 5s or 1min") from None


def _take_request(request: Path | None) -> int | None:
    """Return the pid in the daemon's request file. Removes the file, so that a request is served once."""
    if request is None:
        return None
    try:
        with opened_directory(request.parent) as directory:
            descriptor = os.open(
                request.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory
            )
            try:
                text = os.read(descriptor, _MAX_REQUEST)
                remove_file(directory, request.name, descriptor)
            finally:
                os.close(descriptor)
        return int(text)
    except (FileNotFoundError, ValueError):
        return None


def _refuse_foreign(pid: int, identity: PbxIdentity) -> None:
    """Raise AstbtdError if a process is not the PBX: its memory would be read with the rights of root."""
    if not os.path.exists(f"/proc/{pid}"):  # capturing it fails with a better message
        return
    if reason := identity.foreign_process_reason(pid):
        raise AstbtdError(
            f"process {pid} is not captured: it is not the PBX: {reason}",
            "if it is the PBX, add its user to asterisk.users in /etc/astbtd.yaml",
        )


def _find_pid(settings: Settings, requested_pid: int | None) -> int:
    """Return the pid of the only running Asterisk, or of the requested one. Raises AstbtdError."""
    identity = find_remembered_identity(settings)
    running = identity.running_asterisks(settings.asterisk.executables)
    if requested_pid is not None:
        running = tuple(process for process in running if process.pid == requested_pid)
    if not running:
        raise NothingMatched(
            "no Asterisk is running",
            "if its executable has another name, set `asterisk.executables` in the configuration",
        )
    if len(running) > 1:
        found = ", ".join(f"{process.pid} (in {process.cwd or 'an unknown directory'})" for process in running)
        raise UsageError(f"{len(running)} Asterisks are running: {found}", "select one: astbtd deadlock --pid PID")
    return running[0].pid


def _make_wait(tick: Callable[[], None]) -> Callable[[float], None]:
    """Return a function that sleeps for a number of seconds and meanwhile calls `tick`."""

    def wait(seconds: float) -> None:
        until = time.monotonic() + seconds
        while (remaining := until - time.monotonic()) > 0:
            time.sleep(min(remaining, _TICK))
            tick()

    return wait


def _announce(record: Deadlock, directory: Path) -> None:
    from astbtd.announce import journal  # imports systemd, which may not be installed

    journal.announce_deadlock(record, str(directory))


def _summary(record: Deadlock, directory: Path) -> str:
    pauses = [f"{sample.stopped_seconds * 1000:.0f} ms" for sample in record.samples]
    paused = " and ".join(filter(None, (", ".join(pauses[:-1]), pauses[-1])))
    return f"{printable_line(record.summary)}\nAsterisk was paused for {paused}\n{directory}\n"
