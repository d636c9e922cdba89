"""Checks that gdb is there and able."""

from astbtd.readiness.facts import Family, Gdb
from astbtd.readiness.remedies import install
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning

_OLDEST = 13  # the oldest that astbtd is tried with: Debian 12's


def gdb(found: Gdb | Unknown, family: Family) -> Check:
    """Present, its version, its Python."""
    if isinstance(found, Unknown):
        return unknown(Name.GDB, found)
    if found.problem:
        return failed(Name.GDB, found.problem, found.remedy or install(family, "gdb", "gdb"))
    if not found.python:
        text = f"{found.program} {found.version} has no Python: only backtrace.txt is written"
        return warning(Name.GDB, text, install(family, "gdb", "gdb"))
    if _major(found) < _OLDEST:
        text = f"{found.program} {found.version} is older than {_OLDEST}, the oldest that astbtd is tried with"
        return warning(Name.GDB, text, "name a newer one as gdb.program in /etc/astbtd.yaml")
    return ok(Name.GDB, f"{found.program} {found.version}, with Python")


def _major(found: Gdb) -> int:
    return int((found.version or "0").partition(".")[0])
