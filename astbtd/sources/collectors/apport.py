"""apport: keeps problem reports that contain the core, and plain cores of programs that no package owns.

Sources: apport's data/apport and apport/fileutils.py for the file names, problem_report.py for the reports.
"""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from astbtd.sources.collectors import apport_report
from astbtd.sources.collectors.collector import (
    Collector,
    CollectorMetadata,
    InconsistentMetadata,
    parse_number,
    parse_text,
)

_REPORT = re.compile(r"[^/]{1,250}\.crash")
_CORE = re.compile(r"core\.[^/]{1,250}\.\d{1,10}\.[0-9a-f-]{36}\.\d{1,10}\.\d{1,20}")


@dataclass(frozen=True)
class Apport(Collector):
    """apport as a `Collector`."""

    name = "apport"
    helpers = frozenset(("apport",))
    directories = ("/var/crash", "/var/lib/apport/coredump")

    def core_files(self, directory: str, entry: str) -> list[str]:  # noqa: ARG002 - the name is enough
        """Return the entry itself if it is a report or a core."""
        return [entry] if _REPORT.fullmatch(entry) or _CORE.fullmatch(entry) else []

    def read_metadata(self, descriptor: int, directory: str, name: str) -> CollectorMetadata:  # noqa: ARG002
        """Return the metadata in the fields of a report. A plain core has none."""
        if not _REPORT.fullmatch(name):
            return CollectorMetadata()
        try:
            fields = apport_report.fields(descriptor)
        except apport_report.MalformedReport as error:
            raise InconsistentMetadata(str(error)) from error
        return CollectorMetadata(
            crashed_at=_parse_date(parse_text(fields.get("Date"), "its field Date")),
            signal=parse_number(fields.get("Signal"), "its field Signal"),
            command_line=parse_text(fields.get("ProcCmdline"), "its field ProcCmdline"),
            cwd=_parse_cwd(parse_text(fields.get("ProcCwd"), "its field ProcCwd")),
        )


def _parse_date(value: str | None) -> datetime | None:
    """Return a time in the format of asctime(3), in the local time zone of this host."""
    if value is None:
        return None
    try:
        local_time = time.strptime(value, "%a %b %d %H:%M:%S %Y")
        return datetime.fromtimestamp(time.mktime(local_time), UTC)
    except (ValueError, OverflowError) as error:
        raise InconsistentMetadata("its field Date is not a valid time") from error


def _parse_cwd(value: str | None) -> str | None:
    if value is not None and not value.startswith("/"):
        raise InconsistentMetadata("its field ProcCwd is not an absolute path")
    return value


COLLECTOR = Apport()
