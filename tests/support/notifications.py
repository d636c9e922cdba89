"""Notifications for tests of the spool, the delivery and the sinks."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from astbtd.model.crash import Verdict
from astbtd.model.diagnosis import Kind, MemoryCorruption
from astbtd.notify.payload import (
    CrashFacts,
    FrameFacts,
    LoopFacts,
    Message,
    Notification,
    NotificationKind,
    SignatureFacts,
    notification_id,
)
from tests.support.builders import NOON


@dataclass
class FakeClock:
    """A clock that only moves when somebody waits."""

    time: datetime = NOON

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


MACHINE = "5a" * 16
FRAMES = (
    FrameFacts("ast_bridge_join", "bridge.c", 1703, "/usr/sbin/asterisk", "ab" * 20),
    FrameFacts("dial_exec_full", "app_dial.c", 3400, "/usr/lib/asterisk/modules/app_dial.so", "cd" * 20),
    FrameFacts("start_thread", None, None, "/lib/x86_64-linux-gnu/libc.so.6", "ef" * 20),
    FrameFacts(),
)


def crash_facts(number: int = 1, *, signature: str = "0123456789ab") -> CrashFacts:
    """Return the facts of the `number`-th crash with a signature, a minute after the one before."""
    at = NOON + timedelta(minutes=number)
    return CrashFacts(
        id=f"{at:%Y%m%dT%H%M%SZ}-{number}-0a1b2c",
        crashed_at=at,
        function="ast_bridge_join",
        signal="SIGSEGV",
        version="22.10.0",
        kind=Kind.CRASH,
        verdict=Verdict.USABLE,
        quality=0.9,
        memory_corruption=MemoryCorruption.NONE,
        foreign=False,
        signature=SignatureFacts(signature, "SIGSEGV ast_bridge_join", number, NOON),
        site="0f" * 8,
        frames=FRAMES,
    )


def crash_notification(number: int = 1, *, signature: str = "0123456789ab") -> Notification:
    """Return what trackers get about such a crash."""
    facts = crash_facts(number, signature=signature)
    made_of = notification_id(MACHINE, "crash", facts.id, signature)
    return Notification(made_of, NotificationKind.CRASH, facts.crashed_at, "pbx7", MACHINE, crash=facts)


def loop_notification(crashes: int = 40, *, is_over: bool = True) -> Notification:
    """Return what trackers get about the crashes of a loop."""
    facts = crash_facts(6)
    until = NOON + timedelta(minutes=60)
    loop = LoopFacts(facts, facts.crashed_at, until, crashes, is_over)
    return Notification(notification_id(MACHINE, "loop"), NotificationKind.LOOP, until, "pbx7", MACHINE, loop=loop)


def message_notification(number: int = 1, subject: str = "[pbx7] Asterisk crashed: SIGSEGV in f (new)") -> Notification:
    """Return what people get."""
    at = NOON + timedelta(minutes=number)
    message = Message(subject, f"Asterisk crashed: SIGSEGV in f\nnumber {number}\n", "a new signature")
    made_of = notification_id(MACHINE, "message", str(number))
    return Notification(made_of, NotificationKind.MESSAGE, at, "pbx7", MACHINE, message=message)
