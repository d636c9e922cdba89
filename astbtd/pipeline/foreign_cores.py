"""Decide whether a core that somebody has named is foreign; make a crash the PBX's that was recorded as foreign.

The users of the PBX may be unknown when a core is named on the command line: no daemon has seen the PBX run, and no
unit names its user. When somebody has configured them, the same command makes the crash the PBX's.
"""

from dataclasses import replace

from astbtd.claims import core_ownership
from astbtd.claims.core_filter import Candidate
from astbtd.lib import files
from astbtd.model.crash import REPORT_FILE, Crash, CrashSignature, Process
from astbtd.pipeline.crash_report import render_report
from astbtd.pipeline.known_deaths import remove_replaced, take_over
from astbtd.settings import Settings
from astbtd.sources import watched_directories
from astbtd.store.occurrence import assign_occurrence, number_postponed, postpone_numbering
from astbtd.store.store import Store


def foreign_reason(process: Process, settings: Settings) -> str | None:
    """Return why a process whose core was named is not the PBX, None if it is. The owner of the file says nothing."""
    identity = watched_directories.find_remembered_identity(settings)
    return identity.foreign_crash_reason(process.uid, None, process.executable)


def foreign_reason_of_found(candidate: Candidate, settings: Settings) -> str | None:
    """Return the same for a core that nobody has named, but that was found in a directory: its owner counts."""
    identity = watched_directories.find_remembered_identity(settings)
    return core_ownership.judge(candidate, identity).foreign_reason


def adopt(store: Store, crash: Crash) -> Crash:
    """Record that a crash is the PBX's: it gets a number, a report without the mark, and can be the latest.

    The list of foreign crashes forgets it with its next change. If the same death is recorded without its core, because
    a foreign crash was not taken for it, that record is removed.
    """
    signature = crash.signature and _numbered(store, crash, crash.signature)

    def become_the_pbxs(stored: Crash) -> Crash:
        return take_over(store, replace(stored, foreign=False, signature=signature))

    adopted = store.change(crash.id, become_the_pbxs)
    remove_replaced(store, adopted)
    report = store.directory(crash.id) / REPORT_FILE
    if report.exists():
        files.replace(report, render_report(adopted, report.parent), group=store.group)
    postpone_numbering(store, adopted)
    store.update_latest()
    number_postponed(store)
    return store.load(crash.id)


def _numbered(store: Store, crash: Crash, signature: CrashSignature) -> CrashSignature:
    first = replace(signature, occurrence=1, first_seen=crash.crashed_at, after_version=None)
    return assign_occurrence(store, first, crash.id, crash.asterisk.version)
