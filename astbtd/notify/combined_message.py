"""Makes one message of many, after an outage: nobody wants the mails of a week one by one. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from astbtd.lib.quantities import pluralize
from astbtd.notify.payload import Message, Notification, notification_id

_MOST_TITLES = 200
_MOST_BODIES = 3
_SEPARATOR = "-" * 72


def combine(notifications: Sequence[Notification]) -> Notification:
    """Return one notification in the place of several messages: all subjects, and the texts of the newest ones."""
    newest = notifications[-1]
    messages = [each.message for each in notifications if each.message]
    count = pluralize(len(messages), "message", "messages")
    first, last = notifications[0].time, newest.time
    lines = [
        f"These {count} from {first:%F %T} to {last:%F %T} UTC could not be delivered before:",
        "",
        *_subjects(messages),
    ]
    for message in messages[-_MOST_BODIES:]:
        lines += ["", _SEPARATOR, message.subject, "", message.body.rstrip("\n")]
    combined = Message(f"[{newest.host}] {count} after an outage", "\n".join(lines) + "\n", "an outage")
    ids = [each.id for each in notifications]
    return replace(
        newest,
        id=notification_id(newest.machine, "combined", *ids),
        message=combined,
        gap=sum(each.gap for each in notifications),
    )


def body_with_gap(notification: Notification, message: Message) -> str:
    """Return the text of a message, with how many notifications were lost before it."""
    if not notification.gap:
        return message.body
    lost = pluralize(notification.gap, "earlier event was", "earlier events were")
    return f"{message.body}\n{lost} removed before it could be reported.\n"


def _subjects(messages: Sequence[Message]) -> list[str]:
    subjects = [f"- {message.subject}" for message in messages[-_MOST_TITLES:]]
    omitted = len(messages) - len(subjects)
    return [f"- {omitted} earlier ones", *subjects] if omitted else subjects
