"""Takes from a recorded crash what may leave the machine: a whitelist, not what is left after something was removed."""

import os
from collections.abc import Iterator, Mapping
from datetime import UTC

from astbtd.backtrace.gdb_frame import Frame
from astbtd.backtrace.parser import parse
from astbtd.diagnosis.crash_thread import find_crash_thread
from astbtd.diagnosis.frame_kind import plain_name
from astbtd.lib.escaping import printable_line
from astbtd.model.crash import Crash, CrashSignature
from astbtd.notify.payload import CrashFacts, FrameFacts, SignatureFacts
from astbtd.pipeline.crash_site import locate_recorded
from astbtd.store.redaction.redactor import Redactor

_MAX_FRAMES = 100
_MAX_NAME = 512  # characters
_MODULE_SUFFIX = ".so"


def crash_facts(crash: Crash, thread_text: str, corrects: str | None = None) -> CrashFacts:
    """Return what is notified of a crash. `thread_text` is gdb's text of the thread that crashed; it may be junk.

    `corrects`: the signature under which the crash was notified before.
    """
    frames, omitted = _read_frames(crash, thread_text)
    redactor = Redactor([crash.host])
    return CrashFacts(
        id=crash.id,
        crashed_at=crash.crashed_at,
        function=_name(crash.diagnosis.crash_function),
        signal=_name(crash.signal.name if crash.signal else crash.diagnosis.signal),
        version=_name(crash.asterisk.version),
        kind=crash.kind or crash.diagnosis.kind,
        verdict=crash.diagnosis.verdict,
        quality=crash.diagnosis.quality,
        memory_corruption=crash.diagnosis.memory_corruption,
        foreign=bool(crash.foreign),
        signature=_signature(crash.signature),
        site=crash.site.id if crash.site else None,
        frames=tuple(_frame_facts(frames, _build_ids(crash), redactor)),
        frames_omitted=omitted,
        corrects=corrects,
    )


def _signature(signature: CrashSignature | None) -> SignatureFacts | None:
    if signature is None:
        return None
    first_seen = signature.first_seen.astimezone(UTC)
    text = _name(signature.text) or ""
    return SignatureFacts(signature.id, text, signature.occurrence, first_seen, _name(signature.after_version))


def _read_frames(crash: Crash, text: str) -> tuple[tuple[Frame, ...], int]:
    """Return the frames, with the objects that the record knows of, and how many were omitted."""
    thread = find_crash_thread(parse(text))
    if thread is None:
        return (), 0
    frames = thread.frames[:_MAX_FRAMES]
    omitted = max(thread.frame_count, len(thread.frames)) - len(frames)
    return locate_recorded(frames, crash.site) if crash.site else frames, omitted


def _frame_facts(
    frames: tuple[Frame, ...], build_ids: Mapping[str, str | None], redactor: Redactor
) -> Iterator[FrameFacts]:
    modules = {os.path.basename(path): path for path in build_ids if path.endswith(_MODULE_SUFFIX)}
    for frame in frames:
        if frame.signal_handler:
            continue
        module = frame.library or _module_of(frame.file, modules)
        yield FrameFacts(
            function=_name(plain_name(frame.function)) if frame.function else None,
            file=_path(frame.file, redactor),
            line=frame.line,
            module=_path(module, redactor),
            build_id=build_ids.get(module) if module else None,
        )


def _module_of(file: str | None, modules: Mapping[str, str]) -> str | None:
    """Return the module that was built of a source file: Asterisk's are named alike. gdb names only one of them."""
    if file is None:
        return None
    stem = os.path.basename(file).partition(".")[0]
    return modules.get(f"{stem}{_MODULE_SUFFIX}")


def _build_ids(crash: Crash) -> dict[str, str | None]:
    """Return the build ids of the objects that the process had mapped, by path."""
    known = {each.path: each.build_id for each in crash.objects or ()}
    if crash.process.executable:
        known.setdefault(crash.process.executable, crash.process.build_id)
    for frame in crash.site.frames if crash.site else ():
        if frame.object:
            known.setdefault(frame.object, frame.build_id)
    return known


def _name(text: str | None) -> str | None:
    """Return a name on one line, of limited length. A damaged stack can make gdb print anything."""
    return printable_line(text[:_MAX_NAME]) if text else None


def _path(path: str | None, redactor: Redactor) -> str | None:
    """Return a path without the names of users."""
    return _name(redactor.text(path)) if path else None
