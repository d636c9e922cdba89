"""`astbtd deadlock`: a capture of the Asterisk that runs, and who waits for whom in it."""

import argparse
import os
import time
from collections.abc import Callable
from pathlib import Path

from astbtd.asterisk import asterisk_processes
from astbtd.cli.common import Progress, add_json, load_settings, write, write_json
from astbtd.errors import AstbtdError, ExitCode, NothingMatched, UsageError
from astbtd.lib.escaping import printable_line
from astbtd.lib.quantities import duration
from astbtd.model.deadlock_capture import AskedBy, Deadlock
from astbtd.pipeline.capture_pipeline import CapturePipeline, Sampling
from astbtd.pipeline.components import assemble, console
from astbtd.settings import Settings

_MOST_SAMPLES = 20
_TICK = 0.2  # seconds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds its options."""
    parser.add_argument("--pid", metavar="PID", type=int, help="the process, where several Asterisks run")
    parser.add_argument("--samples", metavar="N", type=_samples, default=2, help="how many looks at it (default: 2)")
    parser.add_argument("--interval", metavar="TIME", type=_interval, default=5.0, help="how far apart (default: 5s)")
    parser.add_argument("--wanted", metavar="FILE", type=Path, help=argparse.SUPPRESS)  # for astbtd-deadlock.service
    add_json(parser)


def run(options: argparse.Namespace) -> ExitCode:
    """Captures, stores and prints what came out."""
    if os.geteuid() != 0:
        raise AstbtdError("only root may look into a running Asterisk", "sudo astbtd deadlock")
    settings = load_settings(options)
    wanted = _wanted(options.wanted)
    asked_by = AskedBy.WATCH if wanted else AskedBy.COMMAND
    pid = options.pid or _the_one(settings, wanted)
    with Progress(f"capturing process {pid}") as progress:
        parts = assemble(settings, progress.tick)
        parts.store.prepare()
        investigation = CapturePipeline(
            captures=parts.captures,
            reserve=parts.reserve,
            extractor=parts.extractor,
            console=console(settings),
            keep=settings.deadlock.keep,
            announce=_announce,
            waiting=_waiting(progress.tick),
        )
        sampling = Sampling(options.samples, options.interval, settings.deadlock.limit)
        record, directory = investigation.run(pid, sampling, asked_by)
    if options.json:
        write_json(record)
    else:
        write(_said(record, directory))
    return ExitCode.DONE


def _samples(text: str) -> int:
    number = int(text)
    if not 1 <= number <= _MOST_SAMPLES:
        raise ValueError(text)
    return number


def _interval(text: str) -> float:
    return duration(text)


def _wanted(request: Path | None) -> int | None:
    """The process that the daemon's watch wants captured; its request is taken away, so that it is served once."""
    if request is None:
        return None
    try:
        text = request.read_text()
        request.unlink()
        return int(text)
    except (FileNotFoundError, ValueError):
        return None


def _the_one(settings: Settings, wanted: int | None) -> int:
    """The Asterisk to capture. Raises AstbtdError where that is not clear."""
    running = asterisk_processes.running(settings.asterisk.executables)
    if wanted is not None:
        running = tuple(one for one in running if one.pid == wanted)
    if not running:
        raise NothingMatched(
            "no Asterisk runs here", "`asterisk.executables` in /etc/astbtd.yaml has the names it may have"
        )
    if len(running) > 1:
        found = ", ".join(f"{one.pid} (in {one.cwd or 'an unknown directory'})" for one in running)
        raise UsageError(f"{len(running)} Asterisks run here: {found}", "say which: astbtd deadlock --pid PID")
    return running[0].pid


def _waiting(tick: Callable[[], None]) -> Callable[[float], None]:
    """Waits, and shows that it does."""

    def wait(seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            time.sleep(min(left, _TICK))
            tick()

    return wait


def _announce(record: Deadlock, directory: Path) -> None:
    from astbtd.announce import journal  # brings systemd, which a machine may be without

    journal.deadlock(record, str(directory))


def _said(record: Deadlock, directory: Path) -> str:
    stopped = ", ".join(f"{sample.stopped_seconds * 1000:.0f} ms" for sample in record.samples)
    return f"{printable_line(record.summary)}\nAsterisk stood still for {stopped}\n{directory}\n"
