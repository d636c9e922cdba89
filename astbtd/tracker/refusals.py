"""Decides whether a crash or a capture belongs in Asterisk's tracker, and says where it belongs if not."""

from astbtd.diagnosis.third_party import NOT_ASTERISK, REPORT_TO
from astbtd.errors import AstbtdError
from astbtd.model.crash import Crash, Verdict
from astbtd.model.deadlock_capture import Deadlock, Finding
from astbtd.model.diagnosis import Kind
from astbtd.tracker.crash_issue import concerned_waits
from astbtd.tracker.issue_form import REPOSITORY

_SYMBOLS = (
    "install the debug symbols of Asterisk and its modules (Debian: from the debian-debug archive; a build of your "
    "own: `make install` without stripping), then capture again: `astbtd deadlock`"
)


class NotForTracker(AstbtdError):
    """The crash does not belong in Asterisk's tracker, or the tracker could do nothing about it."""


def refuse_crash(crash: Crash) -> None:
    """Raise NotForTracker if an issue about this crash would be of no use to the developers of Asterisk."""
    if crash.foreign:
        _refuse(
            crash.id,
            f"it is not a crash of the PBX, but of {crash.process.executable or 'an unknown program'}",
            "report it to whoever supplies that program; if it is your PBX, set asterisk.users in astbtd.yaml(5)",
        )
    if Kind.SENT in (crash.kind, crash.diagnosis.kind) and not crash.diagnosis.deadlock:
        _refuse(
            crash.id,
            crash.diagnosis.headline or "another process sent the signal: it is not a fault of Asterisk",
            "find out why that process ended Asterisk: the journal, cron, monitoring",
        )
    if crash.diagnosis.verdict is Verdict.UNUSABLE:
        _refuse(
            crash.id, f"its backtrace is unusable: {_first(crash.diagnosis.reasons)}", _first(crash.diagnosis.advice)
        )
    _refuse_third_party(crash)
    if crash.texts_removed_at:
        _refuse(
            crash.id,
            "its texts were removed, and an issue needs the backtrace",
            f"wait for the next crash of this kind; `astbtd show {crash.id}` prints what is left",
        )


def _refuse_third_party(crash: Crash) -> None:
    reason = next((each for each in crash.diagnosis.reasons if NOT_ASTERISK in each), None)
    if reason is None:
        return
    where = next((each for each in crash.diagnosis.advice if each.startswith(REPORT_TO)), "report it to its supplier")
    _refuse(crash.id, reason, f"{where} If Asterisk is at fault: {REPOSITORY}/issues/new/choose")


def refuse_capture(capture: Deadlock) -> None:
    """Raise NotForTracker if nothing hangs in the capture, or the places where threads hang have no names."""
    if capture.finding not in (Finding.DEADLOCK, Finding.STUCK):
        _refuse(capture.id, capture.summary, "while calls hang, capture again: `astbtd deadlock --samples 4`")
    if not any(wait.function for wait in concerned_waits(capture)):
        _refuse(capture.id, "the functions that wait for locks have no names, because symbols are missing", _SYMBOLS)


def _refuse(identity: str, reason: str, remedy: str) -> None:
    raise NotForTracker(f"no issue for {identity}: {reason}", remedy)


def _first(sentences: tuple[str, ...]) -> str:
    return sentences[0] if sentences else "`astbtd show` says more"
