"""Holds the diagnosis against a corpus of real backtraces that people have labelled: `make evaluate CORPUS=DIR`.

DIR has the texts and index.jsonl, an object a file: `file`, the fields of a diagnosis that were judged,
`crash_function_alt` (functions that would do as well), `same_bug_as` (another file, with the same bug), `n_threads` and
`n_frames_crash_thread`. Exits with 1 where a figure falls short.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from astbtd.diagnosis.verdict import diagnose
from astbtd.model.crash import Diagnosis

_PIECE = 1 << 16
_GOALS = {
    "crash_function": 0.95,
    "memory_corruption": 0.95,
    "optimized": 0.95,
    "missing_symbols": 0.95,
    "deadlock": 0.95,
    "parsed": 1.0,
    "same bug, same signature": 0.80,
    "other bug, other signature": 1.0,
}
_FIELDS = (
    "memory_corruption",
    "optimized",
    "missing_symbols",
    "deadlock",
    "debug_threads",
    "signal",
    "top_frame",
    "crash_thread",
)


@dataclass(frozen=True)
class Specimen:
    """One text of the corpus: what people say of it, and what the diagnosis says."""

    label: dict[str, Any]
    diagnosis: Diagnosis

    @property
    def file(self) -> str:
        return str(self.label["file"])


@dataclass(frozen=True)
class Judgement:
    """One comparison of the two."""

    figure: str
    right: bool
    what: str


def read(corpus: Path) -> list[Specimen]:
    """All texts of the corpus, diagnosed."""
    labels = [json.loads(line) for line in (corpus / "index.jsonl").read_text().splitlines() if line.strip()]
    return [Specimen(label, _diagnosis(corpus / label["file"])) for label in labels]


def judgements(specimens: Sequence[Specimen]) -> Iterator[Judgement]:
    """All comparisons."""
    for specimen in specimens:
        yield from _fields(specimen)
    yield from _pairs(specimens)


def _diagnosis(path: Path) -> Diagnosis:
    with path.open(encoding="utf-8", errors="replace", newline="\n") as text:
        return diagnose(iter(partial(text.read, _PIECE), ""))


def _fields(specimen: Specimen) -> Iterator[Judgement]:
    label, diagnosis = specimen.label, specimen.diagnosis

    def judged(figure: str, found: object, *allowed: object) -> Judgement:
        return Judgement(figure, found in allowed, f"{specimen.file}: {figure} is {found!r}, not {allowed[0]!r}")

    named = [label["crash_function"], *label.get("crash_function_alt", ())]
    figure = "crash_function" if any(named) else "crash_function, where none is named"
    yield judged(figure, diagnosis.crash_function, *named)
    yield judged("parsed", diagnosis.threads, label["n_threads"])
    yield from (judged(field, getattr(diagnosis, field), label[field]) for field in _FIELDS)
    if label["n_frames_crash_thread"] is not None:
        yield judged("frames", diagnosis.frames, label["n_frames_crash_thread"])


def _pairs(specimens: Sequence[Specimen]) -> Iterator[Judgement]:
    """Every two texts: those of one bug share a signature, all others do not."""
    bug = {specimen.file: specimen.file for specimen in specimens}
    marked = [(s.file, s.label["same_bug_as"]) for s in specimens if s.label.get("same_bug_as") in bug]
    for file, other in marked:
        bug = {each: bug[other] if root == bug[file] else root for each, root in bug.items()}
    for one, other in combinations(specimens, 2):
        same = one.diagnosis.signature.id == other.diagnosis.signature.id
        what = f"{one.file} and {other.file}: {one.diagnosis.signature.text}; {other.diagnosis.signature.text}"
        if bug[one.file] != bug[other.file]:
            yield Judgement("other bug, other signature", not same, what)
        elif {(one.file, other.file), (other.file, one.file)} & set(marked):
            yield Judgement("same bug, same signature", same, what)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints every figure, what it counts, and what is wrong."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("corpus", type=Path)
    options = parser.parse_args(arguments)
    by_figure: dict[str, list[Judgement]] = {}
    for judgement in judgements(read(options.corpus)):
        by_figure.setdefault(judgement.figure, []).append(judgement)
    short = False
    for figure in sorted(by_figure, key=lambda name: name not in _GOALS):
        judged = by_figure[figure]
        right = sum(each.right for each in judged)
        goal = _GOALS.get(figure)
        missed = goal is not None and right < goal * len(judged)
        short = short or missed
        wanted = f" (at least {goal:.0%}){' MISSED' if missed else ''}" if goal else ""
        sys.stdout.write(f"{figure:<36} {right:>4} of {len(judged):<5} {right / len(judged):7.1%}{wanted}\n")
        sys.stdout.writelines(f"    {each.what}\n" for each in judged if not each.right)
    return int(short)


if __name__ == "__main__":
    raise SystemExit(main())
