"""Write report.txt, the report of a crash."""

from pathlib import Path

from astbtd.diagnosis.report import render
from astbtd.lib import files
from astbtd.lib.escaping import printable_line
from astbtd.model.crash import REPORT_FILE, Crash, Section

_MAX_EXCERPT = 1 << 20  # characters of the crashed thread in the report


def write_report(crash: Crash, directory: Path, group: int = -1) -> None:
    """Write report.txt next to the sections."""
    files.write_new(directory / REPORT_FILE, render_report(crash, directory), group=group)


def render_report(crash: Crash, directory: Path) -> bytes:
    """Return the content of report.txt; the sections are in `directory`.

    An internal error must not cost the record: the report is then replaced by the error.
    """
    try:
        with files.open_text(directory / Section.THREAD1) as thread:
            return render(crash, thread.read(_MAX_EXCERPT)).encode(errors="replace")
    except OSError:
        raise
    except Exception as error:
        return _replacement_report(crash, error).encode(errors="replace")


def _replacement_report(crash: Crash, error: Exception) -> str:
    description = printable_line(f"{type(error).__name__}: {error}")
    sections = ", ".join(sorted(crash.extraction.sections)) or "there are none"
    return (
        f"Crash {crash.id}\n\n"
        f"internal error while writing this report: {description}\n"
        f"hint: the record (crash.json) and the sections are complete ({sections}). Report this internal error of "
        "astbtd; `astbtd fsck` writes the report again once it is fixed and this file is removed.\n"
    )
