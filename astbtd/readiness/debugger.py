"""Checks that gdb is there and able."""

from astbtd.readiness.check import Check, Name, Unknown, failed, ok, unknown, warning
from astbtd.readiness.facts import Family, Gdb
from astbtd.readiness.remedies import install


def gdb(found: Gdb | Unknown, family: Family) -> Check:
    """Present, its version, its Python."""
    if isinstance(found, Unknown):
        return unknown(Name.GDB, found)
    if found.problem:
        return failed(Name.GDB, found.problem, found.remedy or install(family, "gdb", "gdb"))
    if not found.python:
        text = f"{found.program} {found.version} has no Python: only backtrace.txt is written"
        return warning(Name.GDB, text, install(family, "gdb", "gdb"))
    return ok(Name.GDB, f"{found.program} {found.version}, with Python")
