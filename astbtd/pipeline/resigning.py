"""Compute the signatures of stored crashes again after the rules have changed.

A signature has the rule that decided it and the version of the rules (diagnosis/words/signature.toml): `function/2`.
Signatures of an older version are computed again from the stored text. Where the text is removed or was never
extracted, the signature of another crash with the same stack is used; otherwise it stays, unless it was too vague to
group crashes by. Sites are not computed again: they need the core.

The work can be interrupted and repeated at any point. When it is complete, a file in the store has the version.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from astbtd.diagnosis.crash_context import CrashContext, Evidence
from astbtd.diagnosis.signature import rules_version, versioned_rule
from astbtd.errors import AstbtdError
from astbtd.lib import files
from astbtd.model.crash import REPORT_FILE, Crash, CrashSignature, Section
from astbtd.model.diagnosis import DecidedSignature
from astbtd.pipeline.crash_report import render_report
from astbtd.pipeline.crash_site import locate_recorded
from astbtd.store.store import DamagedRecord, Store

_VAGUE_RULES = ("generic", "object", "modules", "machinery")
_WAITING = "wait in "  # decided by the registers of the threads, which are not stored
_NO_NAME = "nothing"  # the rule of version 1 for a stack in which nothing has a name


@dataclass
class Resigning:
    """One run over a store, oldest crash first. `is_interrupted` returns True to leave the rest to the next run."""

    store: Store
    is_interrupted: Callable[[], bool]
    _latest: dict[str, CrashSignature] = field(default_factory=dict)
    """The signature of the latest crash so far, by signature id."""
    _moved: Counter[str] = field(default_factory=Counter)
    """How many crashes have lost their old signature, by its id."""
    _by_stack: dict[str, DecidedSignature | None] = field(default_factory=dict)
    """The new signatures of crashes with a text, by the fingerprint of the stack."""

    def run(self) -> bool:
        """Compute all outdated signatures again. Return False if interrupted, True if there is nothing left to do.

        An internal error at one crash, which keeps its signature, is raised when the others are done: once.
        """
        if _completed_version(self.store) == rules_version():
            return True
        internal_error: Exception | None = None
        for crash_id in reversed(self.store.ids()):
            if self.is_interrupted():
                return False
            try:
                with suppress(DamagedRecord):  # removed meanwhile
                    self._resign(crash_id)
            except (AstbtdError, OSError):
                raise
            except Exception as error:  # which every further attempt would hit again
                internal_error = internal_error or error
        files.replace(_marker(self.store), str(rules_version()).encode(), files.PRIVATE_FILE_MODE)
        if internal_error:
            raise internal_error
        return True

    def _resign(self, crash_id: str) -> None:
        summary = self.store.load_summary(crash_id)
        after = summary.signature
        if after is not None and not is_current(after):
            after = self.store.change(crash_id, self._with_new_signature).signature
        if after is not None and not summary.foreign:
            self._latest[after.id] = after

    def _with_new_signature(self, crash: Crash) -> Crash:
        """Return the record with the signature by the current rules, and update its report."""
        decided = self._decide(crash)
        after = replace(
            crash,
            signature=self._number(crash, decided),
            diagnosis=replace(crash.diagnosis, signature=decided),
        )
        self._replace_report(crash, after)
        return after

    def _decide(self, crash: Crash) -> DecidedSignature | None:
        directory = self.store.directory(crash.id)
        before = crash.diagnosis.signature
        if before is not None and before.text.startswith(_WAITING):
            return before
        context = _parse(crash, directory)
        if _is_whole(crash, context):
            if crash.core.site and not crash.foreign:
                self._by_stack[crash.core.site] = context.signature
            return context.signature
        if crash.core.site in self._by_stack:
            return self._by_stack[crash.core.site]
        return None if before is None or _is_vague(crash, before) else before

    def _number(self, crash: Crash, decided: DecidedSignature | None) -> CrashSignature | None:
        """Return the signature with its number among the crashes before. A signature that stays keeps its number.

        Foreign crashes are not counted.
        """
        before = crash.signature
        if crash.foreign and decided is not None:
            return CrashSignature(decided.id, decided.text, 1, crash.crashed_at, rule=versioned_rule(decided))
        if before is not None and not crash.foreign and (decided is None or decided.id != before.id):
            self._moved[before.id] += 1
        if decided is None:
            return None
        rule = versioned_rule(decided)
        previous = self._latest.get(decided.id)
        stays = before is not None and before.id == decided.id
        number = before.occurrence - self._moved[decided.id] if before is not None and stays else 1
        if previous is not None:
            number = max(number, previous.occurrence + 1)
            return replace(previous, text=decided.text, occurrence=number, rule=rule)
        if before is not None and stays:
            return replace(before, occurrence=max(1, number), rule=rule)
        return CrashSignature(decided.id, decided.text, 1, crash.crashed_at, rule=rule)

    def _replace_report(self, before: Crash, after: Crash) -> None:
        """Update the signature in the report, if there is a report."""
        report = self.store.directory(after.id) / REPORT_FILE
        old, new = before.signature, after.signature
        if (old and old.id) != (new and new.id) and report.exists():
            files.replace(report, render_report(after, report.parent), group=self.store.group)


def is_current(signature: CrashSignature) -> bool:
    """Return True if a signature was decided by the current version of the rules."""
    return signature.rule is not None and signature.rule.rpartition("/")[2] == str(rules_version())


def _parse(crash: Crash, directory: Path) -> CrashContext:
    """Parse the stored text of a crash, with what the record has besides."""
    evidence = Evidence(
        signal=crash.signal,
        lwp=crash.process.tid,
        asterisk=crash.asterisk,
        extraction=crash.extraction,
        truncated=crash.core.truncated,
        memory_corruption=crash.diagnosis.memory_corruption,
    )
    if crash.site is not None:
        evidence = replace(evidence, locate=partial(locate_recorded, site=crash.site))
    return CrashContext.from_text(files.text_pieces(directory / Section.BACKTRACE), evidence)


def _is_whole(crash: Crash, context: CrashContext) -> bool:
    """Return True if the text has all frames that were diagnosed: it is neither removed nor shortened."""
    return context.thread is not None and context.thread.frame_count == crash.diagnosis.frames


def _is_vague(crash: Crash, signature: DecidedSignature) -> bool:
    """Return True if unrelated crashes may have this signature: the function that crashed has no name."""
    if signature.rule == _NO_NAME:
        return True
    return signature.rule in _VAGUE_RULES and crash.diagnosis.missing_symbols


def _marker(store: Store) -> Path:
    """Return the path of the file with the version of the rules that all signatures have."""
    return store.incoming / "rules"


def _completed_version(store: Store) -> int | None:
    try:
        return int(_marker(store).read_text())
    except (FileNotFoundError, ValueError):
        return None
