"""Find the package that owns a file, by asking dpkg or rpm."""

import os
import re
from dataclasses import dataclass

from astbtd.errors import AstbtdError
from astbtd.lib import subprocesses
from astbtd.model.crash import ExtractionOutcome

_SECONDS = 5.0
_MERGED = "/usr"  # since /lib is a link to /usr/lib, dpkg may know a file by either path


@dataclass(frozen=True)
class _Query:
    program: str
    arguments: tuple[str, ...]
    answer: re.Pattern[str]


_QUERIES = (
    _Query("/usr/bin/dpkg-query", ("--search", "--"), re.compile(r"([a-z0-9][a-z0-9+.-]+)(?::\w+)?: /.*")),
    _Query("/usr/bin/rpm", ("--query", "--queryformat", "%{NAME}\\n", "--file", "--"), re.compile(r"([\w+.-]+)")),
)


def find_package(path: str) -> str | None:
    """Return the name of the package that owns the file, None if there is none or it cannot be found out.

    The path is from a core, so it is passed behind `--`, and only if it is absolute and normalized: dpkg-query would
    take special characters for a pattern.
    """
    if not re.fullmatch(r"/[\w./+-]+", path) or os.path.normpath(path) != path:
        return None
    other = path.removeprefix(_MERGED) if path.startswith(f"{_MERGED}/") else f"{_MERGED}{path}"
    for query in _QUERIES:
        if not os.access(query.program, os.X_OK):
            continue
        if package := _ask(query, (path, other)):
            return package
    return None


def _ask(query: _Query, paths: tuple[str, ...]) -> str | None:
    try:
        finished, text = subprocesses.output([query.program, *query.arguments, *paths], timeout=_SECONDS)
    except AstbtdError:
        return None
    # The command fails as well if no package owns one of the files.
    if finished.ended not in (ExtractionOutcome.OK, ExtractionOutcome.FAILED):
        return None
    for line in text.splitlines():
        if found := query.answer.fullmatch(line):
            return found[1]
    return None
