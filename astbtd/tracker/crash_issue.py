"""Fills in the form for a crash or a capture. Everything is redacted; values of variables are omitted altogether."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.parser import parse
from astbtd.diagnosis.crash_thread import find_crash_thread
from astbtd.diagnosis.frame_folding import fold_frames
from astbtd.diagnosis.frame_kind import is_asterisk_object, plain_name
from astbtd.lib.quantities import format_utc
from astbtd.model.crash import Asterisk, Crash
from astbtd.model.deadlock_capture import Deadlock, Wait
from astbtd.store.redaction.redactor import Redactor
from astbtd.tracker.issue_form import Frequency, IssueForm, Severity

_MAX_FRAMES = 100
_FREQUENT = 5  # crashes with one signature
_CORE = "Core"
_QUESTIONS = (
    "What was Asterisk doing? (please fill in)",
    "",
    "What changed last: version, configuration, traffic? (please fill in)",
)


def crash_form(crash: Crash, crash_thread_text: str, host: str) -> IssueForm:
    """Return the form for a crash. `crash_thread_text` is gdb's `bt`; `host` describes the operating system."""
    frames = _crash_frames(crash_thread_text)
    form = IssueForm(
        title=f"[bug]: {crash.what}",
        severity=Severity.CRITICAL,
        versions=crash.asterisk.version or "unknown",
        components=_find_component(frames, crash.diagnosis.crash_function),
        environment=_describe_environment(host, crash.asterisk, crash.extraction.gdb_version),
        frequency=_frequency(crash.signature.occurrence if crash.signature else 1),
        description="\n".join([*_describe_crash(crash), "", *_QUESTIONS]),
        logs="\n".join(_list_frames(frames)),
    )
    return _redact(form, crash.host)


def capture_form(capture: Deadlock, host: str) -> IssueForm:
    """Return the form for a capture in which threads wait for one another."""
    waits = concerned_waits(capture)
    functions = list(dict.fromkeys(wait.function for wait in waits if wait.function))
    form = IssueForm(
        title=f"[bug]: {capture.finding}: threads wait in {', '.join(functions) or 'unknown functions'}",
        severity=Severity.CRITICAL,
        versions=capture.asterisk.version or "unknown",
        components=_stem(waits[0].file) if waits and waits[0].file else _CORE,
        environment=_describe_environment(host, capture.asterisk, None),
        frequency=Frequency.ONE_TIME,
        description="\n".join([f"Asterisk hangs: {capture.summary}", "", *_QUESTIONS]),
        logs="\n".join(map(_describe_wait, waits)),
    )
    return _redact(form, capture.host)


def _redact(form: IssueForm, host: str) -> IssueForm:
    redactor = Redactor(hosts=[host])
    return replace(
        form,
        title=redactor.text(form.title),
        versions=redactor.text(form.versions),
        components=redactor.text(form.components),
        environment=redactor.text(form.environment),
        description=redactor.text(form.description),
        logs=redactor.text(form.logs),
    )


def _crash_frames(text: str) -> Sequence[Frame]:
    thread = find_crash_thread(parse(text))
    return thread.frames[:_MAX_FRAMES] if thread else ()


def _list_frames(frames: Sequence[Frame]) -> Iterator[str]:
    for each in fold_frames(frames):
        yield each if isinstance(each, str) else _describe_frame(each)


def _describe_frame(frame: Frame) -> str:
    """Return a frame without its arguments, which are memory of the PBX."""
    if frame.signal_handler:
        return f"#{frame.level}  <signal handler called>"
    name = plain_name(frame.function) if frame.function else "??"
    if frame.file:
        return f"#{frame.level}  {name} at {frame.file}:{frame.line or '?'}"
    return f"#{frame.level}  {name} from {frame.library}" if frame.library else f"#{frame.level}  {name}"


def _find_component(frames: Sequence[Frame], function: str | None) -> str:
    """Return the module or source file of the function that crashed: `app_queue`."""
    crashed = next((frame for frame in frames if frame.function and plain_name(frame.function) == function), None)
    if crashed is None:
        return _CORE
    if crashed.library and is_asterisk_object(crashed.library):
        return _stem(crashed.library)
    return _stem(crashed.file) if crashed.file else _CORE


def _stem(path: str) -> str:
    return PurePosixPath(path).name.partition(".")[0]


def _describe_environment(host: str, asterisk: Asterisk, gdb_version: str | None) -> str:
    lines = [host]
    if asterisk.build_options:
        lines.append(f"Build options: {', '.join(asterisk.build_options)}")
    if gdb_version:
        lines.append(f"gdb {gdb_version}")
    return "\n".join(filter(None, lines))


def _frequency(occurrence: int) -> Frequency:
    if occurrence <= 1:
        return Frequency.ONE_TIME
    return Frequency.FREQUENT if occurrence >= _FREQUENT else Frequency.OCCASIONAL


def _describe_crash(crash: Crash) -> Iterator[str]:
    diagnosis = crash.diagnosis
    yield diagnosis.headline or f"Asterisk crashed: {crash.what}"
    yield ""
    if crash.signature:
        yield f"- Signature: {crash.signature.text} ({crash.signature.id})"
        if crash.signature.occurrence > 1:
            yield f"- Seen: {crash.signature.occurrence} times since {format_utc(crash.signature.first_seen)}"
        if crash.signature.after_version:
            yield f"- Seen first after version {crash.signature.after_version}"
    yield f"- Backtrace: {diagnosis.verdict} (quality {diagnosis.quality:g} of 1)"
    yield from (f"- {reason}" for reason in diagnosis.reasons)


def concerned_waits(capture: Deadlock) -> list[Wait]:
    """Return the waits of the cycle in its order, or all if there is none."""
    by_lwp = {wait.lwp: wait for wait in capture.wait_for}
    if capture.cycle:
        return [by_lwp[lwp] for lwp in capture.cycle if lwp in by_lwp]
    return list(capture.wait_for)


def _describe_wait(wait: Wait) -> str:
    place = wait.function or "??"
    if wait.file:
        place += f" at {wait.file}:{wait.line or '?'}"
    holder = str(wait.owner_state) if wait.owner_lwp is None else f"LWP {wait.owner_lwp}"
    if wait.locked_at:
        holder += f", locked at {wait.locked_at}"
    return f"LWP {wait.lwp} waits in {place} for {wait.kind} {wait.lock_name or wait.lock}, held by {holder}"
