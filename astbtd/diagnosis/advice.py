"""What to do about a backtrace that falls short, and about the bug: sentences that name the flag, package or command.

They are those of Asterisk's documentation: "Getting a Backtrace", "MALLOC_DEBUG Compiler Flag", "Valgrind", "Locking"
(docs.asterisk.org/Development/Debugging).
"""

from collections.abc import Sequence

READ_AGAIN = "read the core again: `astbtd extract CORE` (`astbtd core ID --output CORE` writes a kept one out)"

_INSTALL = "`make && make install`, restart Asterisk"

REBUILD_UNOPTIMIZED = (
    "Build Asterisk without optimisation: in its source, `menuselect/menuselect --enable DONT_OPTIMIZE "
    f"menuselect.makeopts` (or `make menuselect`, 'Compiler Flags'), {_INSTALL}; the next crash will show every value.",
)
CONTAINER = (
    "Name the container's root directory, as it is called here, as `gdb.container_root` in /etc/astbtd.yaml, then "
    f"{READ_AGAIN}.",
)
FIND_CORRUPTION = (
    "To find what damages the memory, rebuild with MALLOC_DEBUG: `menuselect/menuselect --enable MALLOC_DEBUG "
    f"menuselect.makeopts`, {_INSTALL}, and attach /var/log/asterisk/mmlog after the next crash.",
    "Or run Asterisk, built without MALLOC_DEBUG, under valgrind: "
    "`valgrind --suppressions=contrib/valgrind.supp --log-file=valgrind.txt asterisk -cg`.",
)
FIND_STACK_OVERRUN = (
    "Neither valgrind nor MALLOC_DEBUG sees an overrun on the stack: rebuild with AddressSanitizer, "
    f"`menuselect/menuselect --enable ADDRESS_SANITIZER menuselect.makeopts`, {_INSTALL}; it names the variable.",
)
FIND_USE_AFTER_FREE = (
    "To find who freed it, run Asterisk, built without MALLOC_DEBUG, under valgrind: "
    "`valgrind --suppressions=contrib/valgrind.supp --log-file=valgrind.txt asterisk -cg`.",
)
FIND_MEMORY = (
    "See what limits the process and how much it has: `systemctl show asterisk -p MemoryMax -p LimitAS`, "
    "`grep -E 'VmPeak|VmData' /proc/$(pidof asterisk)/status`, `journalctl -k | grep -i oom`.",
)
SHOW_LOCKS = (
    "While Asterisk hangs, capture it: `astbtd deadlock`.",
    "For the list of locks, rebuild with DEBUG_THREADS: `menuselect/menuselect --enable DEBUG_THREADS "
    f"menuselect.makeopts`, {_INSTALL}; then `asterisk -rx 'core show locks'` tells who holds what.",
)


def symbols(objects: Sequence[str]) -> tuple[str, ...]:
    """How to get names and lines back for the code in these shared objects; none for the program itself."""
    others = [name for name in objects if not _asterisks(name)]
    asterisk = (
        "Install the debug symbols of the very build that crashed (Debian: package asterisk-dbgsym from the "
        "debian-debug archive; RHEL family: `dnf debuginfo-install asterisk`; a build of your own: `make install` "
        "without stripping)."
    )
    other = (
        f"Install the debug symbols of {', '.join(others)} (Debian: `find-dbgsym-packages CORE` names the packages; "
        "RHEL family: `dnf debuginfo-install` with the packages that gdb names)."
    )
    if others and len(others) == len(objects):
        return other, f"Then {READ_AGAIN}."
    return asterisk, *([other] if others else []), f"Then {READ_AGAIN}."


def _asterisks(name: str) -> bool:
    return not name.startswith("lib") or name.startswith("libasterisk")
