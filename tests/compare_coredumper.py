"""Compares astbtd with Asterisk's ast_coredumper on cores of built Asterisks, and writes the result as a page.

    python -m tests.compare_coredumper PAGE

It boots the images with a built Asterisk; ast_coredumper is that of the same source package. Exits with 1 if a frame
differs, or if a fact of the five files of ast_coredumper is not in ours.
"""

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.support.containers.asterisk_builds import BOOKWORM_DEBUG, BOOKWORM_DEFAULT, FORKY_DEBUG, Build
from tests.support.containers.both_dumpers import run_astbtd, run_coredumper
from tests.support.containers.built_asterisk import BuiltAsterisk
from tests.support.coredumper import Comparison, compare, same_frames
from tests.support.kernel import cores_in_working_directory

SCENES = ((FORKY_DEBUG, "segv"), (BOOKWORM_DEBUG, "lock_readers"), (BOOKWORM_DEFAULT, "segv"))

PAGE = """\
# The same cores, ast_coredumper and astbtd

Asterisk's own script writes five files of a core: thread1, brief, full, locks, info. The table counts the facts in them
(frames, arguments and variables, rows of the table of locks, words of info.txt) and shows how many of them are in the
files of the same names that astbtd writes. `make compare-coredumper` has written this page.

{headings}
{rows}

Each Asterisk had four channels and a bridge. Those of the scenes `lock_...` were deadlocked and killed with SIGABRT.

"none" in the row of locks: ast_coredumper wrote no table of locks. Without DEBUG_THREADS there is none. On
bookworm-debug its gdb commands print nothing, while `locks.txt` of astbtd has the table.

"without a name" counts lines that lack only the name of a symbol which gdb prints beside an address, as `<name+8>`: it
lies in an object that no frame lies in, whose symbols astbtd does not read (`extract.symbols: lazy`). With
`extract.symbols: all` they have the names; the columns marked `all` show that.
"""


@dataclass(frozen=True)
class Column:
    """The comparison of one core."""

    title: str
    theirs: dict[str, str]
    ours: dict[str, str]

    @property
    def comparisons(self) -> list[Comparison]:
        """The facts, compared."""
        return compare(self.theirs, self.ours)

    def are_frames_equal(self) -> bool:
        """Return whether both found the same frames for each thread."""
        return all(same_frames(self.theirs[name], self.ours[name]) for name in ("thread1", "brief", "full"))


def compare_core(build: Build, scene: str) -> list[Column]:
    """Crash an Asterisk with calls, and give the core to both."""
    with BuiltAsterisk.booted(build) as pbx:
        core = pbx.core_with_calls(scene)
        theirs = run_coredumper(pbx, core)
        return [
            Column(f"{build.name}, {scene}, {each}", theirs, run_astbtd(pbx, core, each)) for each in ("lazy", "all")
        ]


def cell(comparison: Comparison) -> str:
    """Return how many facts of theirs are in ours."""
    if not comparison.count:
        return "none"
    found = f"{comparison.count - len(comparison.missing)} of {comparison.count}"
    return f"{found}, {len(comparison.without_name)} without a name" if comparison.without_name else found


def page(columns: list[Column]) -> str:
    """Return the page."""
    table = [[each.what for each in columns[0].comparisons]]
    table += [[cell(each) for each in column.comparisons] for column in columns]
    rows = [list(row) for row in zip(*table, strict=True)]
    rows.append(["frames equal", *("yes" if column.are_frames_equal() else "NO" for column in columns)])
    headings = ["facts", *(column.title for column in columns)]
    return PAGE.format(
        headings=f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}",
        rows="\n".join(f"| {' | '.join(row)} |" for row in rows),
    )


def main() -> int:
    """Compare all, write the page, print what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path, metavar="PAGE")
    options = parser.parse_args()
    with cores_in_working_directory():
        columns = [column for build, scene in SCENES for column in compare_core(build, scene)]
    options.page.write_text(page(columns))
    missing = [
        f"{column.title}: {each.what}: {fact}"
        for column in columns
        for each in column.comparisons
        for fact in each.missing
    ]
    sys.stdout.writelines(f"{line}\n" for line in missing)
    return 1 if missing or not all(column.are_frames_equal() for column in columns) else 0


if __name__ == "__main__":
    sys.exit(main())
