"""Build the record of a crash from the facts in its core and the result of the analysis."""

import platform
from dataclasses import dataclass
from datetime import UTC, datetime

from astbtd.claims.claim import ClaimRecord
from astbtd.diagnosis.signature import versioned_rule
from astbtd.lib.boot import boot_id_at
from astbtd.model.crash import Core, CoreFacts, CoreState, Crash, CrashSignature, DiscoveredBy
from astbtd.model.diagnosis import DecidedSignature
from astbtd.pipeline.core_diagnosis import AnalysisResult


@dataclass(frozen=True)
class CoreOrigin:
    """Where a core was found, its state when its crash is recorded, and whether it is foreign: not the PBX's.

    `file` is as in `Core`.
    """

    path: str
    source: str
    found: DiscoveredBy
    state: CoreState = CoreState.CLAIMED
    foreign: bool = False
    file: str | None = None


def origin(note: ClaimRecord) -> CoreOrigin:
    """Return the origin of a claimed core."""
    state = CoreState.CLAIMED
    if note.loss:
        state = CoreState.NONE if note.loss.is_none else CoreState.LOST
    path = "" if state is CoreState.NONE else note.path
    return CoreOrigin(path, note.source, note.found, state, note.foreign, note.file)


def first_of_signature(signature: DecidedSignature | None, crashed_at: datetime) -> CrashSignature | None:
    """Return what the signature of a crash is if it is the first one; None if the crash is not grouped."""
    if signature is None:
        return None
    return CrashSignature(signature.id, signature.text, 1, crashed_at, rule=versioned_rule(signature))


def make_record(
    facts: CoreFacts, origin: CoreOrigin, result: AnalysisResult, signature: CrashSignature | None
) -> Crash:
    """Build the record of a crash from the result of its analysis."""
    core = Core(
        identity=facts.identity,
        identity_from=facts.identity_from,
        path=origin.path,
        size=facts.size,
        state=origin.state,
        truncated=facts.truncated,
        source=origin.source,
        found=origin.found,
        site=facts.site,
        file=origin.file,
    )
    return Crash(
        id=facts.crash_id,
        host=platform.node(),
        boot_id=boot_id_at(facts.crashed_at),
        crashed_at=facts.crashed_at,
        collected_at=datetime.now(UTC),
        core=core,
        process=facts.process,
        asterisk=result.asterisk,
        signal=facts.signal,
        extraction=result.extraction,
        diagnosis=result.diagnosis,
        signature=signature,
        site=result.site,
        foreign=origin.foreign,
        kind=result.diagnosis.kind,
        sent_by=facts.sent_by,
        objects=result.objects,
        lacking_symbols=result.lacking_symbols,
    )
