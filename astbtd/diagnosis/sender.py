"""Describes a signal that another process sent: by whom, and what that says about Asterisk."""

from astbtd.diagnosis.crash_context import CrashContext
from astbtd.diagnosis.finding import Finding

_SERVICE_MANAGER = 1
DO_NOT_FILE = "do not file"
_OUTSIDE = 0  # what the kernel says of a sender in another PID namespace


def describe_sender(context: CrashContext) -> str | None:
    """Return the headline for a signal that another process sent; None if the core does not say who did."""
    sender = context.evidence.sent_by
    if sender is None:
        return None
    if is_watchdog(context):
        return "The service manager's watchdog killed a hanging Asterisk: SIGABRT from pid 1"
    source = "from outside the container" if sender.pid == _OUTSIDE else f"by pid {sender.pid}"
    sent = f"{context.signal or 'A signal'} sent {source} (uid {sender.uid})"
    if context.deadlocked_functions:
        return f"{sent} to a deadlocked Asterisk"
    return f"{sent}: not a fault of Asterisk, {DO_NOT_FILE}"


def is_watchdog(context: CrashContext) -> bool:
    """Return True if the service manager sent SIGABRT, which its watchdog does if a service no longer responds."""
    sender = context.evidence.sent_by
    return sender is not None and sender.pid == _SERVICE_MANAGER and context.signal == "SIGABRT"


def find_sender(context: CrashContext) -> Finding | None:
    """The core says which process sent the signal."""
    headline = describe_sender(context)
    if headline is None:
        return None
    if is_watchdog(context):
        return Finding(
            "pid 1 sent SIGABRT: the watchdog of the service manager (WatchdogSec=), or `systemctl kill`.",
            _advise_on_hang(context),
        )
    if context.deadlocked_functions:
        return Finding(f"{headline}.", _advise_on_hang(context))
    return Finding(
        f"{headline}. The frames show what Asterisk was doing.",
        ("Do not file an issue: find out why that process ended Asterisk (the journal, cron, monitoring).",),
    )


def _advise_on_hang(context: CrashContext) -> tuple[str, ...]:
    if context.deadlocked_functions:
        return ("File an issue about the deadlock. Attach backtrace.txt and locks.txt.",)
    return ("Read full.txt for what each thread was doing when Asterisk no longer responded.",)
