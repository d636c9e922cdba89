"""`astbtd notify`: send a test, show what would be sent, or do the work of the units of the notifications."""

import argparse
import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from astbtd.announce.journal import Priority
from astbtd.cli.common import format_local_time, load_settings, write_text
from astbtd.cli.main import print_error
from astbtd.cli.repeated_step import run_repeated
from astbtd.cli.stderr_log import log_lines
from astbtd.errors import AstbtdError, ExitCode, NothingMatched
from astbtd.lib.escaping import printable_line
from astbtd.lib.failure_notes import FailureNotes
from astbtd.notify.failing_checks import FailingChecks, read_checks
from astbtd.notify.payload import Message, Notification, NotificationKind, notification_id
from astbtd.notify.secrets import Secrets, load_secrets
from astbtd.notify.sink_state import SinkState
from astbtd.notify.sinks.base import Outcome, Sink
from astbtd.notify.sinks.configured import configured_sinks
from astbtd.notify.spool_state import read_state
from astbtd.notify.unit_steps import DELIVERY_STEP, SPOOL_STEP, UnitSteps, machine_name
from astbtd.settings import Settings

_ALL = ""
_NO_SINK = "name one in /etc/astbtd.yaml: notify.mail.to, notify.chat, or notify.sentry.enabled"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    action = parser.add_mutually_exclusive_group()
    action.add_argument(
        "--test",
        nargs="?",
        const=_ALL,
        metavar="SINK",
        help="send a marked message to this sink (default: to all) and print the server's answer",
    )
    action.add_argument("--dry-run", action="store_true", help="send nothing; show what would be sent, and why")
    action.add_argument(
        "--spool", action="store_true", help="write what is new in the store to the spool (for its unit)"
    )
    action.add_argument("--deliver", action="store_true", help="deliver what is in the spool (for its unit)")


def run(options: argparse.Namespace) -> ExitCode:
    """Do what the options say; without any, print the state of each sink."""
    if options.spool:
        return run_repeated(SPOOL_STEP, "reading the store for notifications", lambda: _spool(load_settings(options)))
    if options.deliver:
        return run_repeated(DELIVERY_STEP, "delivering notifications", lambda: _deliver(load_settings(options)))
    settings = load_settings(options)
    steps = UnitSteps(settings)
    sinks = configured_sinks(settings.notify, _secrets())
    if not sinks:
        raise NothingMatched("no notifications are configured", _NO_SINK)
    if options.test is not None:
        return _test(steps, _select(sinks, options.test))
    if options.dry_run:
        _print_plan(steps, sinks)
    else:
        _print_states(steps, sinks)
    return ExitCode.DONE


def _secrets() -> Secrets | AstbtdError:
    """Return the secrets, or why there are none: every sink fails with that reason, which is logged once."""
    try:
        return load_secrets(os.environ)
    except AstbtdError as error:
        return error


def _checks() -> FailingChecks | None:
    return read_checks(os.environ, datetime.now(UTC), platform.node())


def _select(sinks: Sequence[Sink], name: str) -> Sequence[Sink]:
    selected = [sink for sink in sinks if name in (_ALL, sink.name)]
    if not selected:
        names = ", ".join(sink.name for sink in sinks)
        raise NothingMatched(f"there is no sink {printable_line(name)}", f"one of: {names}")
    return selected


def _spool(settings: Settings) -> None:
    steps = UnitSteps(settings)
    step = steps.spool_step(_checks())
    if not step.audiences:
        write_text("no notifications are configured: nothing is written\n")
        return
    if not step.store.root.exists():
        write_text(f"there is no store {settings.store} yet\n")
        return
    step.run(datetime.now(UTC), steps.lowest_mark())


def _deliver(settings: Settings) -> None:
    steps = UnitSteps(settings)
    sinks = configured_sinks(settings.notify, _secrets())
    with steps.states.lock():
        steps.delivery(_log).run(sinks)


def _log(line: str, priority: Priority) -> None:
    log_lines(priority, [f"astbtd: {printable_line(line)}"])


def _test(steps: UnitSteps, sinks: Sequence[Sink]) -> ExitCode:
    """Send a marked message to each sink, and print what its server answers; a failure stops no other one."""
    works = [_test_sink(steps, sink) for sink in sinks]
    return ExitCode.DONE if all(works) else ExitCode.FAILED


def _test_sink(steps: UnitSteps, sink: Sink) -> bool:
    """Test one sink; return whether it works."""
    try:
        outcome = _call(sink, _test_notification())
    except AstbtdError as error:
        print_error(error.message, error.remedy)
        return False
    if outcome.problem:
        write_text(f"{sink.name}: failed: {outcome.problem.reason}\n")
        return False
    write_text(f"{sink.name}: accepted: {outcome.answer}{f' ({outcome.remark})' if outcome.remark else ''}\n")
    _resume(steps, sink)
    return True


def _call(sink: Sink, notification: Notification) -> Outcome:
    try:
        return sink.deliver([notification])
    except AstbtdError as error:
        raise AstbtdError(f"{sink.name}: {error.message}", error.remedy) from error


def _test_notification() -> Notification:
    now, host, machine = datetime.now(UTC), platform.node(), machine_name()
    message = Message(
        f"[{host}] Test of astbtd",
        f"This is a test of astbtd's notifications on {host}, sent by `astbtd notify --test`.\nNothing has crashed.\n",
        "a test",
    )
    made_of = notification_id(machine, "test", now.isoformat())
    return Notification(made_of, NotificationKind.TEST, now, host, machine, message=message)


def _resume(steps: UnitSteps, sink: Sink) -> None:
    """Have the next run of the unit deliver what waits: the sink works again."""
    state = steps.states.read(sink.name)
    if state.next_attempt is not None or state.given_up is not None:
        steps.states.write(sink.name, replace(state, next_attempt=None, given_up=None))


def _print_plan(steps: UnitSteps, sinks: Sequence[Sink]) -> None:
    """Print what the two units would do now."""
    step = steps.spool_step(_checks())
    planned = step.plan(read_state(step.spool.state_file), datetime.now(UTC))
    delivery = steps.delivery(_log)
    for sink in sinks:
        waiting = [entry.notification for entry in delivery.waiting(sink)]
        new = [each for each in planned.notifications if each.audience is sink.audience]
        write_text(f"{sink.name}: {len(waiting)} waiting, {len(new)} new\n")
        for notification in (*waiting, *new):
            write_text("".join(_describe(notification)))
    policy = planned.state.policy
    if policy.digest:
        write_text(f"in the next daily digest: {sum(each.count for each in policy.digest.values())} crashes\n")
    if policy.held:
        write_text(f"in the next summary, because of six messages within an hour: {len(policy.held)} events\n")
    if policy.old_cores:
        write_text(f"in the message about earlier crashes: {len(policy.old_cores)} crashes\n")


def _describe(notification: Notification) -> Iterator[str]:
    """Yield the lines about one notification: what is sent, why, and the text."""
    if notification.message:
        yield f"  {notification.message.subject}\n    why: {notification.message.why}\n"
        yield "".join(f"    | {line}\n" for line in notification.message.body.splitlines())
    elif notification.crash:
        why = "its signature was corrected" if notification.crash.corrects is not None else "every crash is sent"
        yield f"  crash {notification.crash.id}\n    why: {why}\n"
    elif notification.loop:
        yield f"  {notification.loop.crashes} crashes of a loop, such as {notification.loop.crash.id}\n"
        yield "    why: the crashes of a loop are sent as a count\n"


def _print_states(steps: UnitSteps, sinks: Sequence[Sink]) -> None:
    for failure in filter(None, map(FailureNotes.read, steps.failure_notes())):
        write_text(f"failing since {format_local_time(failure.since)}: {failure.messages[-1]}\n")
    delivery = steps.delivery(_log)
    for sink in sinks:
        state = steps.states.read(sink.name)
        waiting = sum(1 for _ in delivery.waiting(sink))
        write_text(f"{sink.name}: {state.delivered} delivered, {state.refused} refused, {waiting} waiting\n")
        write_text("".join(f"  {line}\n" for line in _problems(state)))


def _problems(state: SinkState) -> Iterator[str]:
    if state.failing_since is None or not state.is_failing:
        return
    yield f"failing since {format_local_time(state.failing_since)}: {state.reason}"
    if state.given_up is not None:
        yield "given up after a week; it is tried again when there is something new, or after `astbtd notify --test`"
    elif state.next_attempt is not None:
        yield f"next attempt: {format_local_time(state.next_attempt)}"
