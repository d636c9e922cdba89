"""Cores stored the way each collector stores them, and what astbtd finds there."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from astbtd.claims.core_filter import Candidate, CoreFilter, Finding, RefusedFile
from astbtd.model.crash import CoreFacts
from astbtd.sources.collectors.collector import Collector
from tests.support.builders import NOON, DeadProcess
from tests.support.packed import COMPRESS, FIELDS, report

NOON_SECONDS = int(NOON.timestamp())
BOOT_ID = "0f" * 16
SYSTEMD_NAME = f"core.asterisk.110.{BOOT_ID}.4242.{NOON_SECONDS}000000"
SYSTEMD_ATTRIBUTES = {
    "pid": "4242",
    "uid": "110",
    "gid": "115",
    "signal": "11",
    "timestamp": f"{NOON_SECONDS}000000",
    "rlimit": "18446744073709551615",
    "hostname": "pbx1",
    "comm": "asterisk",
    "exe": "/usr/sbin/asterisk",
}
ABRT_ELEMENTS = {
    "type": "CCpp",
    "executable": "/usr/sbin/asterisk",
    "pid": "4242",
    "time": str(NOON_SECONDS),
    "cmdline": "/usr/sbin/asterisk -g -f",
    "pwd": "/var/lib/asterisk",
    "reason": "asterisk killed by SIGSEGV",
}


def store_as_systemd_coredump(
    spool: Path, name: str = SYSTEMD_NAME, attributes: Mapping[str, str] = SYSTEMD_ATTRIBUTES, suffix: str = ""
) -> Path:
    """Store a core as systemd-coredump does, with the metadata in extended attributes."""
    path = spool / (name + suffix)
    core = DeadProcess().core()
    path.write_bytes(COMPRESS[suffix[1:]](core) if suffix else core)
    for field, value in attributes.items():
        os.setxattr(path, f"user.coredump.{field}", value.encode())
    return path


def store_as_abrt(spool: Path, core: str = "coredump", **elements: str) -> Path:
    """Store a core as ABRT does, in a directory with one file for each element."""
    problem = spool / "ccpp-2026-11-22-12:00:00.25-4242"
    problem.mkdir()
    for name, value in {**ABRT_ELEMENTS, **elements}.items():
        (problem / name).write_text(value)
    content = DeadProcess().core()
    (problem / core).write_bytes(COMPRESS["zst"](content) if core.endswith(".zst") else content)
    return problem / core


def store_as_apport(spool: Path, **fields: str) -> Path:
    """Store a core as apport does, in a report; `fields` replace or extend the usual fields."""
    path = spool / "_usr_sbin_asterisk.110.crash"
    path.write_bytes(report(DeadProcess().core(), {**FIELDS, **fields}))
    return path


STORE_AS: dict[str, Callable[[Path], Path]] = {
    "systemd-coredump": store_as_systemd_coredump,
    "apport": store_as_apport,
    "abrt": store_as_abrt,
}
"""How each registered collector stores a core, by its name."""


def examine(collector: Collector, path: Path, spool: Path) -> Finding:
    """Return what a file in a collector's directory is; the descriptor of a core is closed."""
    finding = CoreFilter(("asterisk",), collector=collector).examine(str(spool), str(path.relative_to(spool)))
    if isinstance(finding, Candidate):
        os.close(finding.descriptor)
    return finding


def accepted(collector: Collector, path: Path, spool: Path) -> CoreFacts:
    """Return the facts of a file that must be a core of this collector."""
    finding = examine(collector, path, spool)
    assert isinstance(finding, Candidate), finding
    assert finding.source == collector.name
    return finding.facts


def refusal(collector: Collector, path: Path, spool: Path) -> str:
    """Return the reason for which a file must be refused."""
    finding = examine(collector, path, spool)
    assert isinstance(finding, RefusedFile), finding
    return finding.reason
