"""The directories and files through which the daemon and the networked unit exchange build ids and debug files.

/var/cache/astbtd/            root's: the unit and gdb can read it, not write
    wanted                    the build ids that the daemon asks for, one a line
    debug/.build-id/xx/       the debug files that gdb reads, root:astbtd-gdb
/var/cache/astbtd-symbols/    the unit's: only it and root can enter
    found/BUILD_ID            debug files that were downloaded, until the daemon takes them over
    answers.json              what became of each build id
    work/                     for debuginfod-find
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

STEP = "symbols"
"""The name of the networked unit's work in the notes about what it fails at."""

SYSTEM_DEBUG_DIRECTORIES = ("/usr/lib/debug", "/usr/local/lib/debug")
"""Where packages install debug files. gdb's own default is one of them."""

_BUILD_ID = re.compile(r"(?:[0-9a-f]{2}){8,32}")


def is_build_id(text: str) -> bool:
    """Return whether a text is a build id: 8 to 32 bytes in hexadecimal digits."""
    return _BUILD_ID.fullmatch(text) is not None


def debug_file_name(build_id: str) -> str:
    """Return the path of a debug file below a debug-file-directory (gdb manual, "Debugging Information in Files")."""
    return f".build-id/{build_id[:2]}/{build_id[2:]}.debug"


def debug_file_version(directories: Iterable[str], build_id: str, until: float) -> str | None:
    """Return what tells apart the debug files that a build has at different times; None if it has none.

    That is the size, and the times of change of content and inode: a package keeps the first. A file that was changed
    after `until`, in seconds since 1970, does not count yet.
    """
    for directory in directories:
        with suppress(OSError):
            found = os.stat(os.path.join(directory, debug_file_name(build_id)))
            if found.st_ctime <= until:
                return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}"
    return None


@dataclass(frozen=True)
class SymbolDirectories:
    """The paths below `root`, which is the setting symbols.directory."""

    root: Path

    @property
    def wanted(self) -> Path:
        """The file with the build ids that are asked for."""
        return self.root / "wanted"

    @property
    def debug(self) -> Path:
        """The debug-file-directory with the debug files that were obtained."""
        return self.root / "debug"

    @property
    def downloads(self) -> Path:
        """The directory of the networked unit."""
        return self.root.with_name(f"{self.root.name}-symbols")

    @property
    def found(self) -> Path:
        """The directory with the files that were downloaded."""
        return self.downloads / "found"

    @property
    def answers(self) -> Path:
        """The file that says what became of each build id."""
        return self.downloads / "answers.json"

    @property
    def work(self) -> Path:
        """The directory in which debuginfod-find works."""
        return self.downloads / "work"

    def debug_file(self, build_id: str) -> Path:
        """Return the path that the debug file of a build has if it was obtained."""
        return self.debug / debug_file_name(build_id)

    def has_debug_file(self, build_id: str) -> bool:
        """Return whether the debug file of a build is there: obtained, or installed on this machine."""
        return any(os.path.exists(os.path.join(each, debug_file_name(build_id))) for each in self.searched)

    @property
    def search_path(self) -> str:
        """The value of gdb's debug-file-directory."""
        return ":".join(self.searched)

    @property
    def searched(self) -> tuple[str, ...]:
        """The directories in which gdb looks for debug files, in this order."""
        return (*SYSTEM_DEBUG_DIRECTORIES, str(self.debug))
