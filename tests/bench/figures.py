"""The results of a benchmark: figures with their reference and their limit, as a table and as JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measured value. `ratio` is that to the reference, measured in the same run; `limit` is the required value."""

    theme: str
    name: str
    value: float
    unit: str
    reference: str = ""
    ratio: float | None = None
    limit: str = ""


@dataclass(frozen=True)
class Theme:
    """The figures of one benchmark."""

    name: str
    figures: list[Figure]

    def add(self, name: str, value: float, unit: str, limit: str = "") -> None:
        """Add a value without a reference."""
        self.figures.append(Figure(self.name, name, value, unit, limit=limit))

    def compare(
        self, name: str, values: Sequence[float], unit: str, reference: tuple[str, Sequence[float]], limit: str = ""
    ) -> None:
        """Add the median of values, of those of a reference, and of their ratios.

        Both are measured in the same rounds: a machine that is slower in one round is slower for both.
        """
        what, norms = reference
        ratios = [value / norm for value, norm in zip(values, norms, strict=True) if norm]
        ratio = median(ratios) if ratios else None
        self.figures.append(Figure(self.name, name, median(values), unit, what, ratio, limit))


def table(figures: Iterable[Figure]) -> str:
    """Return the figures as a table in Markdown."""
    lines = ["| benchmark | figure | value | compared with | ratio | limit |", "|---|---|---|---|---|---|"]
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        value = f"{format_number(figure.value)} {figure.unit}".strip()
        lines.append(f"| {figure.theme} | {figure.name} | {value} | {figure.reference} | {ratio} | {figure.limit} |")
    return "\n".join(lines) + "\n"


def format_number(value: float) -> str:
    """Format a number with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def write(figures: Sequence[Figure], path: Path) -> None:
    """Write the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
