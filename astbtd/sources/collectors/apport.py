"""The cores that apport keeps: problem reports with the core inside, and bare cores of programs without a package.

Sources: apport's data/apport and apport/fileutils.py for the names, problem_report.py for the report.
"""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from astbtd.model.crash import Source
from astbtd.sources.collectors import apport_report
from astbtd.sources.collectors.collector import CollectorMetadata, InconsistentMetadata, number, text
from astbtd.sources.core_pattern import CorePattern

_REPORT = re.compile(r"[^/]{1,250}\.crash")
_CORE = re.compile(r"core\.[^/]{1,250}\.\d{1,10}\.[0-9a-f-]{36}\.\d{1,10}\.\d{1,20}")


@dataclass(frozen=True)
class Apport:
    """apport as a `Collector`."""

    source: Source = Source.APPORT

    def is_fed_by(self, pattern: CorePattern) -> bool:
        """By the program it is called through."""
        return pattern.helper == "apport"

    def cores(self, directory: str, entry: str) -> list[str]:  # noqa: ARG002 - a file is a report or a core
        """The entry itself."""
        return [entry] if _REPORT.fullmatch(entry) or _CORE.fullmatch(entry) else []

    def testimony(self, descriptor: int, directory: str, name: str) -> CollectorMetadata:  # noqa: ARG002 - all is in the file
        """From the fields of a report; of a bare core there is none."""
        if not _REPORT.fullmatch(name):
            return CollectorMetadata()
        try:
            fields = apport_report.fields(descriptor)
        except apport_report.Malformed as error:
            raise InconsistentMetadata(str(error)) from error
        return CollectorMetadata(
            crashed_at=_date(text(fields.get("Date"), "its field Date")),
            signal=number(fields.get("Signal"), "its field Signal"),
            command_line=text(fields.get("ProcCmdline"), "its field ProcCmdline"),
            cwd=_directory(text(fields.get("ProcCwd"), "its field ProcCwd")),
        )


def _date(value: str | None) -> datetime | None:
    """A time as asctime(3) writes it, in the zone of this machine."""
    if value is None:
        return None
    try:
        return datetime.fromtimestamp(time.mktime(time.strptime(value, "%a %b %d %H:%M:%S %Y")), UTC)
    except (ValueError, OverflowError) as error:
        raise InconsistentMetadata("its field Date is no time") from error


def _directory(value: str | None) -> str | None:
    if value is not None and not value.startswith("/"):
        raise InconsistentMetadata("its field ProcCwd is no absolute path")
    return value
