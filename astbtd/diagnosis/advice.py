"""What to do about an incomplete backtrace, and about the bug: sentences that name the flag, package or command.

The advice is that of Asterisk's documentation: "Getting a Backtrace", "MALLOC_DEBUG Compiler Flag", "Valgrind",
"Locking" (docs.asterisk.org/Development/Debugging).
"""

import re
from collections.abc import Iterable, Sequence

READ_KEPT_CORE = "`astbtd extract ID`"
"""The command that extracts a kept core again. A report replaces `ID` by the id of its crash."""

EXTRACT_AGAIN = f"extract again: {READ_KEPT_CORE}"
THEN_EXTRACT_AGAIN = f"Then {EXTRACT_AGAIN}."
THEN_RUN_GDB_AGAIN = "Then take the backtrace of the core again: `astbtd extract --output DIRECTORY CORE`."

_READ_CORE = re.compile(r",? then extract again: .*", re.DOTALL)

_INSTALL = "run `make && make install`, and restart Asterisk"

REBUILD_UNOPTIMIZED = (
    "Build Asterisk without optimization: in its source directory, run `menuselect/menuselect --enable DONT_OPTIMIZE "
    f"menuselect.makeopts` (or `make menuselect`, 'Compiler Flags'), {_INSTALL}. "
    "The next crash will then show every value.",
)
CONTAINER = (
    "Set `gdb.container_root` in /etc/astbtd.yaml to the container's root directory as seen from this machine, then "
    f"{EXTRACT_AGAIN}.",
)
FIND_CORRUPTION = (
    "To find what damages the memory, rebuild with MALLOC_DEBUG: run `menuselect/menuselect --enable MALLOC_DEBUG "
    f"menuselect.makeopts`, {_INSTALL}. Attach /var/log/asterisk/mmlog after the next crash.",
    "Or run Asterisk, built without MALLOC_DEBUG, under valgrind: "
    "`valgrind --suppressions=contrib/valgrind.supp --log-file=valgrind.txt asterisk -cg`.",
)
FIND_STACK_OVERRUN = (
    "valgrind and MALLOC_DEBUG do not detect an overrun on the stack. Rebuild with AddressSanitizer: run "
    f"`menuselect/menuselect --enable ADDRESS_SANITIZER menuselect.makeopts`, {_INSTALL}. It reports the variable.",
)
USE_MALLOC_DEBUG_LOG = (
    "Asterisk was built with MALLOC_DEBUG, which reported this: attach /var/log/asterisk/mmlog, with the lines from "
    "before the crash.",
)
FIND_USE_AFTER_FREE = (
    "To find what freed the memory, run Asterisk, built without MALLOC_DEBUG, under valgrind: "
    "`valgrind --suppressions=contrib/valgrind.supp --log-file=valgrind.txt asterisk -cg`.",
)
FIND_MEMORY = (
    "Check the limits of the process and its memory usage: `systemctl show asterisk -p MemoryMax -p LimitAS`, "
    "`grep -E 'VmPeak|VmData' /proc/$(pidof asterisk)/status`, `journalctl -k | grep -i oom`.",
)
GET_A_CORE = ("For a backtrace, the next crash has to leave a core: run `astbtd check` and follow its hints.",)
BETTER_BACKTRACES = (
    "To get names and lines in the log, rebuild with BETTER_BACKTRACES: run `menuselect/menuselect --enable "
    f"BETTER_BACKTRACES menuselect.makeopts`, {_INSTALL}.",
)
DO_CRASH = (
    "To get a core when an assertion fails, rebuild with DO_CRASH: run `menuselect/menuselect --enable DO_CRASH "
    f"menuselect.makeopts`, {_INSTALL}. Asterisk then ends at the assertion, so do this on a test system first.",
)
CAPTURE_HANG = ("If Asterisk hangs, capture it while it does: `astbtd deadlock`.",)
SHOW_LOCKS = (
    "Capture Asterisk while it hangs: `astbtd deadlock`.",
    "To list all locks with their owners, rebuild with DEBUG_THREADS: run `menuselect/menuselect --enable "
    f"DEBUG_THREADS menuselect.makeopts`, {_INSTALL}. Then run `asterisk -rx 'core show locks'` while it hangs.",
)

_ASTERISK_SYMBOLS = (
    "Install the debug symbols of exactly the build that crashed (Debian: package asterisk-dbgsym from the "
    "debian-debug archive; RHEL family: `dnf debuginfo-install asterisk`; your own build: `make install` without "
    "stripping)."
)


def without_core(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the advice for a crash whose core is removed: nothing about reading the core."""
    remaining = (_READ_CORE.sub("; this helps with the next crash.", line) for line in lines)
    return tuple(line for line in remaining if "astbtd extract" not in line and "astbtd core" not in line)


def install_symbols(objects: Sequence[str]) -> tuple[str, ...]:
    """Return how to get names and lines for code in these shared objects, on a machine that is not known.

    No objects means the program itself.
    """
    libraries = [name for name in objects if not _belongs_to_asterisk(name)]
    only_libraries = bool(libraries) and len(libraries) == len(objects)
    sentences = []
    if not only_libraries:
        sentences.append(_ASTERISK_SYMBOLS)
    if libraries:
        sentences.append(
            f"Install the debug symbols of {', '.join(libraries)} (Debian: `find-dbgsym-packages CORE` lists the "
            "packages; RHEL family: `dnf debuginfo-install` with the packages that gdb names)."
        )
    return tuple(sentences)


def _belongs_to_asterisk(name: str) -> bool:
    return not name.startswith("lib") or name.startswith("libasterisk")


def find_address(module: str, offset: int) -> tuple[str, ...]:
    """Return how to find the function at an offset in a module that a log line names."""
    return (
        f"Meanwhile, find the function: `addr2line -Cfi -e FILE {offset:#x}`, where FILE is the {module} that crashed, "
        "or its debug file.",
    )
