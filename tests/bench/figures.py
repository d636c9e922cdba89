"""What a benchmark finds: figures, each beside its yardstick and its limit, as a table and as JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Figure:
    """One measured value. `ratio` is to the yardstick, measured in the same run; `limit` says what is wanted."""

    theme: str
    name: str
    value: float
    unit: str
    yardstick: str = ""
    ratio: float | None = None
    limit: str = ""


@dataclass(frozen=True)
class Theme:
    """The figures of one theme."""

    name: str
    figures: list[Figure]

    def add(self, name: str, value: float, unit: str, limit: str = "") -> None:
        """A value by itself."""
        self.figures.append(Figure(self.name, name, value, unit, limit=limit))

    def compare(
        self, name: str, values: Sequence[float], unit: str, yardstick: tuple[str, Sequence[float]], limit: str = ""
    ) -> None:
        """Values beside a yardstick's, measured in the same rounds: the median of both, and that of their ratios.

        A machine that is slower in one round is slower for both.
        """
        what, norms = yardstick
        ratios = [value / norm for value, norm in zip(values, norms, strict=True) if norm]
        ratio = median(ratios) if ratios else None
        self.figures.append(Figure(self.name, name, median(values), unit, what, ratio, limit))


def table(figures: Iterable[Figure]) -> str:
    """The figures as a table in Markdown."""
    lines = ["| theme | figure | value | against | ratio | wanted |", "|---|---|---|---|---|---|"]
    for figure in figures:
        ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
        value = f"{shown(figure.value)} {figure.unit}".strip()
        lines.append(f"| {figure.theme} | {figure.name} | {value} | {figure.yardstick} | {ratio} | {figure.limit} |")
    return "\n".join(lines) + "\n"


def shown(value: float) -> str:
    """A number with three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def write(figures: Sequence[Figure], path: Path) -> None:
    """Writes the figures as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([asdict(figure) for figure in figures], indent=2) + "\n")
