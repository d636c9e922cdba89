"""Describes crashes and crash loops as events of the Sentry protocol. Pure.

The format, which Sentry, GlitchTip and Bugsink read: https://develop.sentry.dev/sdk/data-model/event-payloads/.
An event has only what the fields of a notification have: no arguments, local variables, texts or command lines.

A crash is counted once: its event has the id of the notification, and servers drop an event whose id they have. A crash
whose signature was corrected, or whose core was found after it was sent, has another id. The tag `report` tells such
events apart: `first` for a crash that was not sent before, `corrected` for one that was sent under the signature in the
tag `corrects`, and `loop` for the crashes of a crash loop, whose number is in the context `crash_loop`.
"""

import os
import re
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from astbtd import __version__
from astbtd.diagnosis.frame_kind import is_asterisk_object
from astbtd.lib.escaping import printable_line
from astbtd.lib.serialization import format_rfc3339
from astbtd.model.diagnosis import Kind
from astbtd.notify.payload import CrashFacts, FrameFacts, LoopFacts, Notification
from astbtd.symbols.symbol_directories import is_build_id

MOST_FRAMES = 100
"""The largest number of frames in an event: the innermost ones."""

_LONGEST_NAME = 256  # characters; Sentry shortens longer names of functions, files and hosts
_LONGEST_TAG = 200  # characters; Sentry discards a tag with a longer value
_LONGEST_RELEASE = 200  # characters, Bugsink's limit; Sentry's is 250
_OLDEST = timedelta(days=29)  # Sentry replaces a time of more than 30 days ago, and marks the event as faulty
_DEBUG_ID_LENGTH = 16  # bytes

_VERSION = re.compile(r"(\d+(?:\.\d+){1,3}(?:-(?:rc|beta|cert)\d+)?)(.*)", re.DOTALL)
_NOT_IN_RELEASE = re.compile(r"[^A-Za-z0-9.-]+")


class Report(StrEnum):
    """The tag `report`: how to count an event. FIRST is one crash, CORRECTED one that was counted before."""

    FIRST = "first"
    CORRECTED = "corrected"
    LOOP = "loop"
    TEST = "test"


def make_event(notification: Notification, now: datetime) -> dict[str, object]:
    """Return the event for a notification, as JSON data. `now` decides whether a server accepts its time."""
    common = _present(
        {
            "event_id": notification.id,
            "timestamp": _accepted_time(notification.time, now),
            "platform": "native",
            "logger": "astbtd",
            "server_name": _name(notification.host),
            "user": {"id": notification.machine},
            "sdk": {"name": "astbtd", "version": __version__},
        }
    )
    if notification.crash:
        return common | _describe_crash(notification.crash, notification)
    if notification.loop:
        return common | _describe_loop(notification.loop, notification)
    return common | _describe_test(notification)


def _describe_crash(crash: CrashFacts, notification: Notification) -> dict[str, object]:
    report = Report.FIRST if crash.corrects is None else Report.CORRECTED
    return _grouped(crash, notification.id) | {
        "level": "warning" if crash.kind is Kind.SENT else "fatal",
        "exception": {"values": [_exception(crash)]},
        "debug_meta": {"images": _images(crash.frames[:MOST_FRAMES])},
        "tags": _tags(crash, report),
        "contexts": {"crash": _crash_context(crash, notification)},
    }


def _describe_loop(loop: LoopFacts, notification: Notification) -> dict[str, object]:
    """Describe a loop as an event of the same issue as its crashes."""
    context = {
        "crashes": loop.crashes,
        "since": format_rfc3339(loop.since),
        "until": format_rfc3339(loop.until),
        "over": loop.is_over,
    }
    described = _describe_crash(loop.crash, notification)
    return described | {
        "tags": _tags(loop.crash, Report.LOOP),
        "contexts": {"crash": _crash_context(loop.crash, notification), "crash_loop": context},
    }


def _describe_test(notification: Notification) -> dict[str, object]:
    message = notification.message.subject if notification.message else "test"
    return {
        "level": "info",
        "logentry": {"formatted": _name(message)},
        "fingerprint": ["astbtd", "test"],
        "tags": {"report": Report.TEST},
    }


def _grouped(crash: CrashFacts, event_id: str) -> dict[str, object]:
    """Return what decides which issue and which release an event belongs to.

    A crash without signature and site is an issue of its own. Foreign crashes have issues apart: whoever makes a
    program crash that is called asterisk must not change the counts of the PBX.
    """
    if crash.signature:
        key = ["signature", crash.signature.id]
    elif crash.site:
        key = ["site", crash.site]
    else:
        key = ["crash", event_id]
    return _present(
        {
            "fingerprint": ["astbtd", *(["foreign"] if crash.foreign else []), *key],
            "release": release_name(crash.version) if crash.version else None,
        }
    )


def release_name(version: str) -> str:
    """Return the name of the release for a version of Asterisk: `asterisk@22.10.0` for `22.10.0`.

    This is the form in which Sentry orders releases. What a distribution appends to a version (`~dfsg+~cs6.16`) becomes
    build metadata as in Semantic Versioning, and characters that a release cannot have become dots.
    """
    numbered = _VERSION.match(version)
    if not numbered:
        return f"asterisk@{_dotted(version) or 'unknown'}"[:_LONGEST_RELEASE]
    suffix = _dotted(numbered[2])
    return f"asterisk@{numbered[1]}{'+' if suffix else ''}{suffix}"[:_LONGEST_RELEASE]


def _dotted(text: str) -> str:
    return _NOT_IN_RELEASE.sub(".", text).strip(".-")


def _exception(crash: CrashFacts) -> dict[str, object]:
    """Return the crash as the exception that trackers expect: its type and value are the title of the issue."""
    return {
        "type": _name(crash.signal or crash.kind or Kind.CRASH),
        "value": _name(crash.function or "an unknown function"),
        "mechanism": {"type": "signalhandler" if crash.signal else "generic", "handled": False},
        "stacktrace": {"frames": [_frame(each) for each in reversed(crash.frames[:MOST_FRAMES])]},
    }


def _frame(frame: FrameFacts) -> dict[str, object]:
    """Return a frame. `package` is what the protocol calls the shared object. Bugsink shows nothing but file names."""
    module_name = os.path.basename(frame.module) if frame.module else None
    return _present(
        {
            "function": _name(frame.function or "??"),
            "filename": _name(frame.file or module_name),
            "lineno": frame.line,
            "package": _name(frame.module),
            "in_app": is_asterisk_object(frame.module) if frame.module else None,
        }
    )


def _images(frames: tuple[FrameFacts, ...]) -> list[dict[str, object]]:
    """Return the objects of the frames, with their build ids. A frame refers to them by its `package`."""
    build_ids = {frame.module: frame.build_id or "" for frame in frames if frame.module}
    return [
        {"type": "elf", "code_file": _name(path), "code_id": build_id, "debug_id": debug_id(build_id)}
        for path, build_id in build_ids.items()
        if is_build_id(build_id)
    ]


def debug_id(build_id: str) -> str:
    """Return the debug id for the build id of an ELF file, both in hexadecimal digits.

    It has the first 16 bytes, as the fields of a little-endian UUID (https://docs.sentry.io, "Debug identifiers").
    """
    identifier = bytes.fromhex(build_id)[:_DEBUG_ID_LENGTH].ljust(_DEBUG_ID_LENGTH, b"\0")
    return str(uuid.UUID(bytes_le=identifier))


def _tags(crash: CrashFacts, report: Report) -> dict[str, str]:
    """Return what people search for. `new_after`: a version with which the host had crashes, but none of this bug."""
    signature = crash.signature
    tags = {
        "report": report,
        "corrects": "none" if crash.corrects == "" else crash.corrects,
        "kind": crash.kind,
        "verdict": crash.verdict,
        "corruption": crash.memory_corruption,
        "signal": crash.signal,
        "foreign": "yes" if crash.foreign else "no",
        "signature": signature.text if signature else None,
        "new_after": signature.after_version if signature else None,
        "site": crash.site,
        "asterisk": crash.version,
    }
    return {key: printable_line(value)[:_LONGEST_TAG] for key, value in tags.items() if value}


def _crash_context(crash: CrashFacts, notification: Notification) -> dict[str, object]:
    """Return what is no use as a tag, because nobody searches for it, or no two events have the same."""
    signature = crash.signature
    return _present(
        {
            "id": crash.id,
            "crashed_at": format_rfc3339(crash.crashed_at),
            "quality": crash.quality,
            "occurrence_on_host": signature.occurrence if signature else None,
            "first_seen_on_host": format_rfc3339(signature.first_seen) if signature else None,
            "frames_omitted": crash.frames_omitted + max(0, len(crash.frames) - MOST_FRAMES),
            "notifications_lost_before": notification.gap,
        }
    )


def _accepted_time(moment: datetime, now: datetime) -> str | None:
    """Return a time if servers accept it. Without one, they use the time of receipt."""
    return format_rfc3339(moment) if now - _OLDEST < moment <= now else None


def _name(text: str | None) -> str | None:
    """Return a name without control characters. Of a long one, the end is shown: of a path it says most."""
    if text is None:
        return None
    line = printable_line(text)
    return line if len(line) <= _LONGEST_NAME else "..." + line[3 - _LONGEST_NAME :]


def _present(values: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None}
