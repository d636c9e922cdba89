"""Prints the diagnosis of texts, and compares it with labels: `make evaluate CORPUS="DIR..."`.

A DIR has texts, and may have index.jsonl, with one object per file: `file`, fields of a diagnosis, `crash_function_alt`
(other functions that are correct as well), `same_bug_as` (another file with the same bug), `n_threads` and
`n_frames_crash_thread`. Texts without a label are printed only. Exits with 1 if a figure misses its goal.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from astbtd.cli.commands.diagnose import read_pieces
from astbtd.diagnosis.verdict import diagnose
from astbtd.model.diagnosis import Diagnosis, Kind, Signature

_GOALS = {
    "crash_function": 0.95,
    "signal": 0.97,
    "kind": 0.95,
    "memory_corruption": 0.95,
    "optimized": 0.95,
    "missing_symbols": 0.95,
    "deadlock": 0.95,
    "parsed": 1.0,
    "same bug, same signature": 0.90,
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
class Sample:
    """One text of the corpus, with its label and its diagnosis."""

    label: dict[str, Any]
    diagnosis: Diagnosis

    @property
    def file(self) -> str:
        return str(self.label["file"])


@dataclass(frozen=True)
class Comparison:
    """One comparison of a label with a diagnosis."""

    figure: str
    correct: bool
    message: str


def read(corpus: Path) -> list[Sample]:
    """Diagnose all texts of a directory. Those without a label come last."""
    index = corpus / "index.jsonl"
    lines = index.read_text().splitlines() if index.exists() else []
    labels = [json.loads(line) for line in lines if line.strip()]
    labelled = {label["file"] for label in labels}
    others = [{"file": path.name} for path in sorted(corpus.glob("*.txt")) if path.name not in labelled]
    return [Sample(label, diagnose(read_pieces(str(corpus / label["file"])))) for label in [*labels, *others]]


def comparisons(samples: Sequence[Sample]) -> Iterator[Comparison]:
    """Yield all comparisons."""
    labelled = [sample for sample in samples if len(sample.label) > 1]
    for sample in labelled:
        yield from _compare_fields(sample)
    yield from _compare_pairs(labelled)


def _compare_fields(sample: Sample) -> Iterator[Comparison]:
    label, diagnosis = sample.label, sample.diagnosis

    def compare(figure: str, found: object, *correct: object) -> Comparison:
        message = f"{sample.file}: {figure} is {found!r}, not {correct[0]!r}"
        return Comparison(figure, found in correct, message)

    functions = [label["crash_function"], *label.get("crash_function_alt", ())]
    figure = "crash_function" if any(functions) else "crash_function, where none is named"
    yield compare(figure, diagnosis.crash_function, *functions)
    yield compare("parsed", diagnosis.threads, label["n_threads"])
    for field in _FIELDS:
        yield compare(field, getattr(diagnosis, field), label[field])
    if label.get("kind") in set(Kind):
        yield compare("kind", diagnosis.kind, label["kind"])
    if label["n_frames_crash_thread"] is not None:
        yield compare("frames", diagnosis.frames, label["n_frames_crash_thread"])


def _compare_pairs(samples: Sequence[Sample]) -> Iterator[Comparison]:
    """Compare every two texts: those of one bug must have the same signature, all others different ones.

    Of the texts of one bug, only those count whose label names the other: the labels say why these two are the same.
    """
    labelled_pairs = _labelled_pairs(samples)
    bugs = _bugs(samples, labelled_pairs)
    for first, second in combinations(samples, 2):
        one, other = first.diagnosis.signature, second.diagnosis.signature
        is_same = one is not None and other is not None and one.id == other.id
        message = f"{first.file} and {second.file}: {_signature_text(one)}; {_signature_text(other)}"
        if bugs[first.file] != bugs[second.file]:
            yield Comparison("other bug, other signature", not is_same, message)
        elif frozenset((first.file, second.file)) in labelled_pairs and _name_functions(first, second):
            yield Comparison("same bug, same signature", is_same, message)


def _signature_text(signature: Signature | None) -> str:
    return signature.text if signature else "not grouped"


def _name_functions(*samples: Sample) -> bool:
    return all(sample.label["crash_function"] for sample in samples)


def _labelled_pairs(samples: Sequence[Sample]) -> list[frozenset[str]]:
    """Return the pairs of files that labels say are the same bug."""
    files = {sample.file for sample in samples}
    pairs = []
    for sample in samples:
        other = sample.label.get("same_bug_as")
        if other in files:
            pairs.append(frozenset((sample.file, other)))
    return pairs


def _bugs(samples: Sequence[Sample], pairs: Iterable[frozenset[str]]) -> dict[str, str]:
    """Return the bug of each file: the name of one of the files that have it."""
    bugs = {sample.file: sample.file for sample in samples}
    for pair in pairs:
        merged = {bugs[file] for file in pair}
        for file, bug in bugs.items():
            if bug in merged:
                bugs[file] = min(merged)
    return bugs


def _print_figure(figure: str, compared: Sequence[Comparison]) -> bool:
    """Print a figure and its failures. Return False if it misses its goal."""
    correct = sum(comparison.correct for comparison in compared)
    share = correct / len(compared)
    goal = _GOALS.get(figure, 0.0)
    missed = correct < goal * len(compared)
    note = f" (at least {goal:.0%}){' MISSED' if missed else ''}" if goal else ""
    sys.stdout.write(f"{figure:<36} {correct:>4} of {len(compared):<5} {share:7.1%}{note}\n")
    sys.stdout.writelines(f"    {comparison.message}\n" for comparison in compared if not comparison.correct)
    return not missed


def _print_diagnosis(sample: Sample) -> None:
    diagnosis = sample.diagnosis
    fields = {
        "kind": diagnosis.kind,
        "signal": diagnosis.signal,
        "function": diagnosis.crash_function,
        "top": diagnosis.top_frame,
        "thread": diagnosis.crash_thread,
        "threads": diagnosis.threads,
        "frames": diagnosis.frames,
        "corruption": diagnosis.memory_corruption,
        "deadlock": diagnosis.deadlock,
        "verdict": f"{diagnosis.verdict} {diagnosis.quality:g}",
        "signature": _signature_text(diagnosis.signature),
    }
    shown = "; ".join(f"{name} {value}" for name, value in fields.items())
    sys.stdout.write(f"{sample.file}: {diagnosis.headline}\n    {shown}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print every diagnosis, every figure, and each comparison that failed. Return 1 if a figure misses its goal."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("corpora", metavar="DIR", type=Path, nargs="+")
    options = parser.parse_args(arguments)
    by_figure: dict[str, list[Comparison]] = {}
    for corpus in options.corpora:
        samples = read(corpus)
        for sample in samples:
            _print_diagnosis(sample)
        for comparison in comparisons(samples):
            by_figure.setdefault(comparison.figure, []).append(comparison)
    with_goals_first = sorted(by_figure, key=lambda figure: figure not in _GOALS)
    results = [_print_figure(figure, by_figure[figure]) for figure in with_goals_first]
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())
