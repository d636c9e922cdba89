"""Measures the time and memory for diagnosing a backtrace: `make bench-diagnosis`.

Each text is generated while it is parsed, so that only the memory of the parser is measured. The memory must have a
constant limit for texts of any length, and the time must grow linearly.
"""

import itertools
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from astbtd.diagnosis.verdict import diagnose
from astbtd.lib.quantities import format_size

_LARGEST = 50 << 20  # bytes
_STEPS = 6  # sizes, each twice the one before
_PIECE = 1 << 16

_FRAME = (
    '#{level}  0x0000555555557{level:03x} in pbx_extension_helper (c=0x55555555d300, context=0x55555555d340 "default", '
    'exten=0x55555555d390 "1000", priority={level}, callerid=<optimized out>) at pbx.c:{level}\n'
)
_LOCALS = "        res = <optimized out>\n        passdata = \"SIP/1000{level}\", '\\000' <repeats 1000 times>\n"


def threads() -> Iterator[str]:
    """Yield an endless `thread apply all bt full`."""
    for number in itertools.count(2):
        yield f'\nThread {number} (Thread 0x7f83ff80c6c0 (LWP {number}) "asterisk"):\n'
        for level in range(20):
            yield _FRAME.format(level=level) + _LOCALS.format(level=level)


def recursion() -> Iterator[str]:
    """Yield the `bt` of an endless stack."""
    yield "Program terminated with signal SIGSEGV, Segmentation fault.\n"
    for level in itertools.count():
        yield _FRAME.format(level=level)


def listings() -> Iterator[str]:
    """Yield an endless series of crashes without headings."""
    for number in itertools.count():
        yield f"#0  0x{number:x} in crash_{number} (a=1) at c.c:{number}\n#1  0x{number:x} in main () at m.c:1\n"


def one_line() -> Iterator[str]:
    """Yield a frame with an endless argument."""
    yield '#0  0x1 in play (text="'
    yield from itertools.repeat('a (b, c=\\" ' * 1000)


def prose() -> Iterator[str]:
    """Yield lines that are not a backtrace."""
    yield from itertools.repeat("[2026-03-01 12:00:00] ERROR[1][C-00000001]: channel.c:12 ast_read: # nothing\n")


TEXTS: dict[str, Callable[[], Iterator[str]]] = {
    each.__name__: each for each in (threads, recursion, listings, one_line, prose)
}


def cut(pieces: Iterator[str], length: int) -> Iterator[str]:
    """Yield the first `length` characters of a text."""
    for piece in pieces:
        yield piece[:length]
        length -= len(piece)
        if length <= 0:
            return


def measure(name: str, length: int) -> None:
    """Print the CPU seconds and the peak memory in bytes of one diagnosis. This process does nothing else."""
    diagnose("")  # loads the word lists
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    diagnosis = diagnose(cut(TEXTS[name](), length))
    seconds = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(seconds, peak << 10, diagnosis.threads, diagnosis.frames)  # noqa: T201 - for the parent process


def main() -> None:
    """Print a table: the text, its length, time and memory, and how the time grew with the length."""
    if len(sys.argv) == 3:
        measure(sys.argv[1], int(sys.argv[2]))
        return
    sys.stdout.write(
        f"{'text':<11}{'length':>8}{'seconds':>9}{'MB/s':>7}{'growth':>8}{'memory':>8}{'threads':>9}{'frames':>9}\n"
    )
    for name in TEXTS:
        last = 0.0
        for length in (_LARGEST >> step for step in reversed(range(_STEPS))):
            command = [sys.executable, "-m", "tests.bench.diagnosis", name, str(length)]
            words = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            seconds, peak = float(words[0]), int(words[1])
            growth = f"{seconds / last:.2f}x" if last else ""
            rate = length / (1 << 20) / seconds
            sys.stdout.write(
                f"{name:<11}{format_size(length):>8}{seconds:>9.2f}{rate:>7.1f}{growth:>8}{format_size(peak):>8}"
                f"{words[2]:>9}{words[3]:>9}\n"
            )
            sys.stdout.flush()
            last = seconds


if __name__ == "__main__":
    main()
