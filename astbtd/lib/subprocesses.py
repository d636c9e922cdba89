"""Run subprocesses. This is the only module that starts programs.

Every child gets a minimal environment, no standard input, and a session of its own. When `run` returns, the child has
ended.
"""

import errno
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
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

_MAX_OOM_SCORE = "1000"
_CHECK_INTERVAL = 0.25  # seconds between two checks of the limits while a child runs


@dataclass(frozen=True)
class Finished:
    """How a child ended. `status` is its exit code, or the negative signal number; `seconds` is wall time."""

    status: int
    ended: ExtractionOutcome
    seconds: float


Start = Callable[[], "subprocess.Popen[bytes]"]
"""Starts a child."""


def start_here(start: Start) -> AbstractContextManager["subprocess.Popen[bytes]"]:
    """Start a child in the calling thread."""
    return nullcontext(start())


def never() -> ExtractionOutcome | None:
    """A `watch` function that never ends the child."""
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
    meanwhile: Callable[[], None] = lambda: None,
    starter: Callable[[Start], AbstractContextManager["subprocess.Popen[bytes]"]] = start_here,
    kill_first: bool = False,
) -> Finished:
    """Run `argv` in `directory`; standard output and error go to the descriptor `output`.

    `meanwhile` is called once, when the child has started. The child and its session are killed `timeout` seconds after
    that has returned, or as soon as `watch`, which is called several times a second, returns a reason or raises.
    Whenever a descriptor in `serve` is readable, its function is called, until that returns False. `starter` runs the
    function that starts the child, in a thread that outlives the child. With `kill_first`, the child is the first
    process that the kernel kills when memory is short. Raises AstbtdError if the program cannot be started.
    """
    started = time.monotonic()
    start = partial(_start, argv, output, pass_fds, directory, {**ENVIRONMENT, **(environment or {})})
    with starter(start) as child:
        try:
            if kill_first:
                _set_oom_score(child.pid)
            meanwhile()
            reason = _wait(child.pid, time.monotonic() + timeout, watch, serve)
        finally:
            _kill_session(child)
    status = child.returncode
    ended = reason or _outcome(status)
    return Finished(status, ended, time.monotonic() - started)


def run_on_terminal(
    argv: Sequence[str],
    *,
    pass_fds: Sequence[int],
    directory: Path,
    environment: Mapping[str, str],
    starter: Callable[[Start], AbstractContextManager["subprocess.Popen[bytes]"]] = start_here,
) -> int:
    """Run `argv` with our own standard input, output and error, and return its exit status; main thread only.

    In its session, the terminal is not the controlling one: the child cannot put characters into its input queue
    (TIOCSTI), which the caller's shell would execute. For the same reason it gets no SIGINT from the terminal: ours is
    passed on. On SIGTERM and SIGHUP, it is killed, and SystemExit raised. Raise AstbtdError if it cannot be started.
    """
    merged = {**ENVIRONMENT, **environment}
    start = partial(_start, argv, None, pass_fds, directory, merged)
    with starter(start) as child, _signals_for(child):
        try:
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # its pid stays taken while the session is killed
        finally:
            _kill_session(child)
    return child.returncode


@contextmanager
def _signals_for(child: "subprocess.Popen[bytes]") -> Iterator[None]:
    """Pass SIGINT on to a child for the duration of a block, and raise SystemExit on SIGTERM and SIGHUP."""

    def pass_on(number: int, _: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(child.pid, number)

    def end(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    handlers = {signal.SIGINT: pass_on, signal.SIGTERM: end, signal.SIGHUP: end}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def output(
    argv: Sequence[str],
    *,
    timeout: float,
    limit: int = 1 << 20,
    environment: Mapping[str, str] | None = None,
    watch: Callable[[], ExtractionOutcome | None] = never,
) -> tuple[Finished, str]:
    """Run `argv` as `run` does; also return the first `limit` bytes of its output, standard error included."""
    descriptor = os.memfd_create("output", os.MFD_CLOEXEC)
    try:
        finished = run(argv, timeout=timeout, output=descriptor, environment=environment, watch=watch)
        return finished, os.pread(descriptor, limit, 0).decode(errors="replace")
    finally:
        os.close(descriptor)


def launch(argv: Sequence[str], *, environment: Mapping[str, str], wait: float) -> int | None:
    """Start a program that may outlive this one, such as a browser. Its output is discarded.

    Return its exit status, or None if it has not ended within `wait` seconds. Raises AstbtdError if it cannot be
    started.
    """
    descriptor = os.memfd_create("output", os.MFD_CLOEXEC)
    try:
        child = _start(argv, descriptor, (), Path("/"), {**ENVIRONMENT, **environment})
    finally:
        os.close(descriptor)
    with suppress(subprocess.TimeoutExpired):
        return child.wait(wait)
    return None


def _start(
    argv: Sequence[str], output: int | None, pass_fds: Sequence[int], directory: Path, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    """Start a child. Without `output`, it has our own standard input, output and error."""
    try:
        with open(os.devnull, "rb") as nothing:  # not subprocess.DEVNULL, which opens it for writing as well
            return subprocess.Popen(  # noqa: S603 - an argument list, never a shell; callers take no program name from foreign data
                argv,
                stdin=None if output is None else nothing,
                stdout=output,
                stderr=output,
                pass_fds=pass_fds,
                env=environment,
                cwd=directory,
                start_new_session=True,
            )
    except OSError as error:
        raise AstbtdError(f"cannot run {argv[0]}: {error.strerror}", f"install {argv[0]}") from error


def _set_oom_score(pid: int) -> None:
    """Let the kernel kill this child of ours first. The child itself may not write to any file, so choom(1) cannot."""
    with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
        Path(f"/proc/{pid}/oom_score_adj").write_text(_MAX_OOM_SCORE)


def _wait(
    pid: int, deadline: float, watch: Callable[[], ExtractionOutcome | None], serve: Mapping[int, Callable[[], bool]]
) -> ExtractionOutcome | None:
    descriptor = os.pidfd_open(pid)
    try:
        with selectors.DefaultSelector() as selector:
            for each in (descriptor, *serve):
                selector.register(each, selectors.EVENT_READ)
            while True:
                ready = [key.fd for key, _ in selector.select(_CHECK_INTERVAL)]
                if descriptor in ready:  # the child has ended by itself
                    return None
                if time.monotonic() >= deadline:
                    return ExtractionOutcome.TIMEOUT
                if reason := watch():
                    return reason
                for each in ready:
                    if not serve[each]():
                        selector.unregister(each)
    finally:
        os.close(descriptor)


def send_signal(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, or to the process group `-pid`. Raises ProcessLookupError, PermissionError.

    Without CAP_KILL, as in astbtd-deadlock.service, root may only signal its own processes: then a child that changes
    to the user of the process sends the signal.
    """
    try:
        os.kill(pid, number)
    except PermissionError:
        if os.geteuid() != 0:
            raise
        _send_as_owner(pid, number)


def _send_as_owner(pid: int, number: signal.Signals) -> None:
    try:
        status = Path(f"/proc/{abs(pid)}/status").read_text()
    except FileNotFoundError:
        raise ProcessLookupError from None
    ids = dict(line.split(":", 1) for line in status.splitlines())
    uid, gid = (int(ids[key].split()[0]) for key in ("Uid", "Gid"))
    argv = [
        "setpriv",
        f"--reuid={uid}",
        f"--regid={gid}",
        "--clear-groups",
        "--",
        "kill",
        f"-{number:d}",
        "--",
        str(pid),
    ]
    done = subprocess.run(argv, env=ENVIRONMENT, capture_output=True, check=False)  # noqa: S603 - as in `_start`
    if done.returncode != 0 and Path(f"/proc/{abs(pid)}").exists():
        raise PermissionError(errno.EPERM, done.stderr.decode(errors="replace").strip())


def _kill_session(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and its session. What is left of one that has ended by itself and changed its user remains."""
    if os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        with suppress(ProcessLookupError):
            send_signal(-child.pid, signal.SIGKILL)
    child.wait()


def _outcome(status: int) -> ExtractionOutcome:
    if status < 0:
        return ExtractionOutcome.KILLED
    return ExtractionOutcome.OK if status == 0 else ExtractionOutcome.FAILED
