"""What to do about an incomplete backtrace, and about the bug: sentences that name the flag, package or command.

The advice is that of Asterisk's documentation: "Getting a Backtrace", "MALLOC_DEBUG Compiler Flag", "Valgrind",
"Locking" (docs.asterisk.org/Development/Debugging).
"""

from collections.abc import Sequence

EXTRACT_AGAIN = "extract again: `astbtd extract CORE` (for a kept core, first run `astbtd core ID --output CORE`)"

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
FIND_USE_AFTER_FREE = (
    "To find what freed the memory, run Asterisk, built without MALLOC_DEBUG, under valgrind: "
    "`valgrind --suppressions=contrib/valgrind.supp --log-file=valgrind.txt asterisk -cg`.",
)
FIND_MEMORY = (
    "Check the limits of the process and its memory usage: `systemctl show asterisk -p MemoryMax -p LimitAS`, "
    "`grep -E 'VmPeak|VmData' /proc/$(pidof asterisk)/status`, `journalctl -k | grep -i oom`.",
)
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


def install_symbols(objects: Sequence[str]) -> tuple[str, ...]:
    """Return how to get names and lines for code in these shared objects. No objects means the program itself."""
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
    return *sentences, f"Then {EXTRACT_AGAIN}."


def _belongs_to_asterisk(name: str) -> bool:
    return not name.startswith("lib") or name.startswith("libasterisk")
