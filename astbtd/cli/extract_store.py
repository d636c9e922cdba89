"""`astbtd extract CORE`: take a core through the pipeline, as the daemon does; one that was collected before, again."""

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

from astbtd.claims.claim import Claim, Claims
from astbtd.claims.core_filter import Candidate
from astbtd.claims.private_copy import PrivateCopies
from astbtd.cli import named_core, reextract
from astbtd.cli.common import Progress, warn
from astbtd.cli.extract_output import open_for_gdb
from astbtd.cli.reextract import BY_COMMAND
from astbtd.errors import AstbtdError
from astbtd.model.crash import CoreFacts, Crash, DiscoveredBy
from astbtd.pipeline import foreign_cores
from astbtd.pipeline.components import Components, assemble
from astbtd.pipeline.known_deaths import find_copy
from astbtd.pipeline.reextraction import ExtractedAgain
from astbtd.pipeline.stages import crash_loops, crash_pipeline, reextraction
from astbtd.settings import Settings
from astbtd.store.id_lookup import resolve
from astbtd.store.occurrence import number_postponed

Extracted = tuple[Crash | ExtractedAgain, Path]
"""What was extracted, and the directory with the sections."""


def choose(
    settings: Settings, options: argparse.Namespace, progress: Progress
) -> Iterator[tuple[str, Callable[[], Extracted]]]:
    """Yield what to extract, in the order given: its name, and the function that extracts it."""
    parts = assemble(settings, progress.tick)
    if options.newest:
        name = named_core.find_newest(options.cores, settings, options.executable, parts.store.collected)
        yield name, partial(_extract_core, name, settings, parts, options)
        return
    if options.signature or options.unusable:
        for crash_id in reextract.select(parts.store, options.cores, options):
            yield crash_id, partial(_extract_kept, crash_id, parts, progress)
        return
    for name in options.cores:
        if reextract.names_crash(name):
            crash_id = resolve(parts.store, name)
            yield crash_id, partial(_extract_kept, crash_id, parts, progress)
        else:
            yield name, partial(_extract_core, name, settings, parts, options)


def _extract_kept(crash_id: str, parts: Components, progress: Progress) -> Extracted:
    """Extract a recorded crash again."""
    return _announced(reextraction(parts, progress).extract_kept(crash_id, BY_COMMAND), parts)


def _extract_core(name: str, settings: Settings, parts: Components, options: argparse.Namespace) -> Extracted:
    """Extract a core file and store the result."""
    candidate = named_core.open_core(name, settings, options.executable)
    result = _store_crash(candidate, settings, parts, options.executable, was_found=options.newest)
    if isinstance(result, ExtractedAgain):
        return _announced(result, parts)
    return result, parts.store.directory(result.id)


def _announced(result: ExtractedAgain, parts: Components) -> Extracted:
    """Announce a crash that became usable."""
    directory = parts.store.directory(result.after.id)
    if result.became_usable:
        from astbtd.announce import journal  # imports systemd, which nothing else here needs

        journal.announce_usable_crash(result.after, str(directory))
    return result, directory


def _store_crash(
    candidate: Candidate, settings: Settings, parts: Components, executable: Path | None, *, was_found: bool
) -> Crash | ExtractedAgain:
    """Take the core through the pipeline; if it was collected before, extract it again.

    `was_found`: nobody has named the file, it was found in a directory.
    """
    parts.store.prepare()
    identity = candidate.facts.identity
    if was_found:
        foreign = foreign_cores.foreign_reason_of_found(candidate, settings)
    else:
        foreign = foreign_cores.foreign_reason(candidate.facts.process, settings)
    if foreign:
        _explain_foreign(candidate.path, foreign)
    resumed = _resume_claim(candidate, parts.claims)
    if resumed is None and parts.store.collected.among({identity}):
        recorded = _find_recorded(candidate.facts, candidate.path, parts)
        if recorded.foreign and not foreign:
            recorded = foreign_cores.adopt(parts.store, recorded)
        return _extract_again(candidate, recorded, parts, executable)
    claim = resumed or parts.claims.claim_core(candidate, DiscoveredBy.COMMAND, copy=True, foreign=bool(foreign))
    pipeline = crash_pipeline(parts, settings, crash_loops(parts, settings), _announce, lambda _: None)
    crash = pipeline.process(claim)
    number_postponed(parts.store)
    if crash is None:  # collected meanwhile from elsewhere
        return _find_recorded(claim.record.facts, candidate.path, parts)
    return parts.store.load(crash.id)


def _extract_again(
    candidate: Candidate, recorded: Crash, parts: Components, executable: Path | None
) -> Crash | ExtractedAgain:
    """Extract a core that was collected before, unless the daemon is still processing it. Close its descriptor."""
    if parts.claims.exists(recorded.id):
        os.close(candidate.descriptor)
        return recorded

    def open_core(private: Path) -> AbstractContextManager[int]:
        unpacker = replace(parts.claims.unpacker, reserve=parts.reserve.check)
        copies = PrivateCopies(private, parts.extractor.user.gid, unpacker)
        return open_for_gdb(candidate, parts.extractor.user, copies)

    again = reextraction(parts, lambda _: None)
    return again.extract(recorded, open_core, BY_COMMAND, str(executable.resolve()) if executable else None)


def _explain_foreign(path: str, reason: str) -> None:
    """Warn that a crash is recorded as foreign: maybe nobody has told us yet which user runs the PBX."""
    hint = "  hint: if it is your PBX, add its user to asterisk.users in /etc/astbtd.yaml, and repeat the command"
    warn([f"{path} counts as the core of a foreign program, not of the PBX: {reason}", hint])


def _resume_claim(candidate: Candidate, claims: Claims) -> Claim | None:
    """Return the claim of an earlier run of this command that was killed, None if there is none.

    Raises AlreadyClaimed. Closes the candidate's descriptor if a claim is returned.
    """
    crash_id = candidate.facts.crash_id
    note = claims.read_record(crash_id)
    if note and note.found is not DiscoveredBy.COMMAND:  # the daemon will resume this claim
        return None
    resumed = claims.resume(crash_id)
    if resumed:
        os.close(candidate.descriptor)
    else:
        claims.forget(crash_id)
    return resumed


def _find_recorded(facts: CoreFacts, path: str, parts: Components) -> Crash:
    for crash in parts.store.crashes():
        if crash.core.identity == facts.identity:
            return crash
    copy = find_copy(parts.store, facts, foreign=False) or find_copy(parts.store, facts, foreign=True)
    if copy:
        return parts.store.load(copy)
    raise AstbtdError(
        f"{path}: this core was collected before, and retention has removed its record", "use --output DIR"
    )


def _announce(_: Claim, crash: Crash, directory: Path) -> None:
    from astbtd.announce import journal  # imports systemd, which nothing else here needs

    announce = journal.announce_foreign_crash if crash.foreign else journal.announce_crash
    announce(crash, str(directory))
