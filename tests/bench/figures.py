"""What a benchmark finds: figures, each beside its yardstick and its limit, as a table and as JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


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

    def compare(self, name: str, value: float, unit: str, yardstick: tuple[str, float], limit: str = "") -> None:
        """A value beside a yardstick's: its name and its value."""
        what, norm = yardstick
        self.figures.append(Figure(self.name, name, value, unit, what, value / norm if norm else None, limit))


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
