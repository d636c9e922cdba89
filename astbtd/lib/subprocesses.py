"""Runs subprocesses; the only place that does.

Every child gets a minimal environment, no standard input, a session of its own, and is gone when `run` returns.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from astbtd.errors import AstbtdError
from astbtd.model.crash import ExtractionOutcome

ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/nonexistent",
    "TERM": "dumb",
}

_CHECK_EVERY = 0.25  # seconds between two looks at the limits while a child runs


@dataclass(frozen=True)
class Finished:
    """How a child ended; `status` is its exit code, negative for the signal that killed it; `seconds` wall time."""

    status: int
    ended: ExtractionOutcome
    seconds: float


def never() -> ExtractionOutcome | None:
    """A watch that lets the child go on."""
    return None


def run(
    argv: Sequence[str],
    *,
    timeout: float,
    output: int,
    pass_fds: Sequence[int] = (),
    directory: Path = Path("/"),
    environment: Mapping[str, str] | None = None,
    watch: Callable[[], ExtractionOutcome | None] = never,
    serve: Mapping[int, Callable[[], bool]] = MappingProxyType({}),
) -> Finished:
    """Runs `argv` in `directory`, with standard output and error going to the descriptor `output`.

    Ends it, with its whole session, after `timeout` seconds or as soon as `watch` returns a reason or raises. Whenever
    one of the descriptors in `serve` can be read, its function is called, until that returns False.
    Raises AstbtdError when the program cannot be started.
    """
    started = time.monotonic()
    child = _start(argv, output, pass_fds, directory, {**ENVIRONMENT, **(environment or {})})
    try:
        reason = _wait(child.pid, started + timeout, watch, serve)
    finally:
        _end(child)
    status = child.returncode
    ended = reason or _verdict(status)
    return Finished(status, ended, time.monotonic() - started)


def output(
    argv: Sequence[str], *, timeout: float, most: int = 1 << 20, watch: Callable[[], ExtractionOutcome | None] = never
) -> tuple[Finished, str]:
    """Runs `argv` as `run` does; returns as well up to `most` bytes of what it wrote, standard error included."""
    descriptor = os.memfd_create("output", os.MFD_CLOEXEC)
    try:
        finished = run(argv, timeout=timeout, output=descriptor, watch=watch)
        return finished, os.pread(descriptor, most, 0).decode(errors="replace")
    finally:
        os.close(descriptor)


def _start(
    argv: Sequence[str], output: int, pass_fds: Sequence[int], directory: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(  # noqa: S603 - an argument list, never a shell; callers pass no foreign text as program
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=pass_fds,
            env=environment,
            cwd=directory,
            start_new_session=True,
        )
    except OSError as error:
        raise AstbtdError(f"cannot run {argv[0]}: {error.strerror}", f"install {argv[0]}") from error


def _wait(
    pid: int, deadline: float, watch: Callable[[], ExtractionOutcome | None], serve: Mapping[int, Callable[[], bool]]
) -> ExtractionOutcome | None:
    descriptor = os.pidfd_open(pid)
    try:
        with selectors.DefaultSelector() as selector:
            for each in (descriptor, *serve):
                selector.register(each, selectors.EVENT_READ)
            while descriptor not in (ready := [key.fd for key, _ in selector.select(_CHECK_EVERY)]):
                if time.monotonic() >= deadline:
                    return ExtractionOutcome.TIMEOUT
                if reason := watch():
                    return reason
                for each in ready:
                    if not serve[each]():
                        selector.unregister(each)
        return None
    finally:
        os.close(descriptor)


def _end(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _verdict(status: int) -> ExtractionOutcome:
    if status < 0:
        return ExtractionOutcome.KILLED
    return ExtractionOutcome.OK if status == 0 else ExtractionOutcome.FAILED
