"""`astbtd report`: the address of a pre-filled issue in Asterisk's tracker, and of a search for known ones."""

import argparse
import platform
from contextlib import suppress
from dataclasses import dataclass

from astbtd.cli.common import add_json, open_store, warn, write_json, write_text
from astbtd.errors import ExitCode
from astbtd.model.crash import Crash, Section, Verdict
from astbtd.model.deadlock_capture import BACKTRACE_FILE, LOCKS_FILE, Deadlock
from astbtd.store.captures import Captures
from astbtd.store.id_lookup import find_capture, resolve
from astbtd.store.store import Store
from astbtd.tracker.crash_issue import capture_form, crash_form
from astbtd.tracker.issue_form import search_address
from astbtd.tracker.refusals import refuse_capture, refuse_crash

_MAX_TEXT = 1 << 20  # characters of the crashed thread


@dataclass(frozen=True)
class IssueAddresses:
    """The addresses for a crash or capture, and the files of it to attach to the issue."""

    id: str
    search: str
    issue: str
    attach: tuple[str, ...]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments and options."""
    parser.add_argument("id", metavar="ID", help="which crash or capture")
    add_json(parser)
    parser.add_argument("--open", action="store_true", help="open the pre-filled issue in a browser; never as root")


def run(options: argparse.Namespace) -> ExitCode:
    """Print the addresses. Raise NotForTracker with the reason if the crash does not belong there; NothingMatched."""
    store = open_store(options)
    captures = Captures(store.root)
    if capture_id := find_capture(store, captures, options.id):
        addresses = _for_capture(captures.load(capture_id))
    else:
        addresses = _for_crash(store, store.load(resolve(store, options.id)))
    if options.json:
        write_json(addresses)
    else:
        _print(addresses)
    if options.open:
        from astbtd.cli.browser import open_address

        open_address(addresses.issue)
    return ExitCode.DONE


def _for_crash(store: Store, crash: Crash) -> IssueAddresses:
    refuse_crash(crash)
    if crash.diagnosis.verdict is Verdict.PARTIAL and crash.diagnosis.advice:
        warn([f"the backtrace is only partly usable; before you file it: {crash.diagnosis.advice[0]}"])
    form = crash_form(crash, _read_crash_thread(store, crash.id), _describe_host(crash.host))
    words = crash.diagnosis.crash_function or (crash.signature.text if crash.signature else "crash")
    return IssueAddresses(crash.id, search_address(words), form.address(), (str(Section.BACKTRACE),))


def _for_capture(capture: Deadlock) -> IssueAddresses:
    refuse_capture(capture)
    form = capture_form(capture, _describe_host(capture.host))
    functions = [wait.function for wait in capture.wait_for if wait.function]
    return IssueAddresses(capture.id, search_address(functions[0]), form.address(), (BACKTRACE_FILE, LOCKS_FILE))


def _print(addresses: IssueAddresses) -> None:
    write_text(f"Known issues: {addresses.search}\n")
    write_text(f"New issue:    {addresses.issue}\n")
    write_text(f"Attach:       {', '.join(addresses.attach)} from `astbtd bundle {addresses.id} --redact`\n")


def _read_crash_thread(store: Store, crash_id: str) -> str:
    """Return gdb's text of the crashed thread; empty if it is missing."""
    for section in (Section.THREAD1, Section.BACKTRACE):
        path = store.directory(crash_id) / section
        with suppress(FileNotFoundError), path.open(errors="replace") as file:
            return file.read(_MAX_TEXT)
    return ""


def _describe_host(host: str) -> str:
    """Return the distribution and the kernel of this machine if the crash happened on it; else nothing is known."""
    if host != platform.node():
        return "unknown"
    name = "unknown distribution"
    with suppress(OSError):
        name = platform.freedesktop_os_release()["PRETTY_NAME"]
    return f"{name}, Linux {platform.release()}, {platform.machine()}"
