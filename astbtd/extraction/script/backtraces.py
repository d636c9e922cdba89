"""Print the backtraces of all threads within limits: the crashed thread first; the text says what is omitted."""

from __future__ import annotations

import re
import time

import gdb

from astbtd.extraction.script.job import JOB, run, write, written_bytes
from astbtd.extraction.script.object_loading import count_frames, has_deep_stack
from astbtd.extraction.script.thread_entry import outermost_functions

MAX_COUNTED_FRAMES = 10_000  # which takes gdb two seconds and 110 MB
# The time for printing each thread in full at once. gdb runs at idle priority: beside a busy PBX, the time that passes
# says little about the work that is done, but gdb must end within `gdb.time`.
FULL_CPU_SECONDS, FULL_SECONDS = 10, 60
FRAME = re.compile(r"^#", re.MULTILINE)
LOCALS = re.compile(r"^(?:        .*|No locals\.|No symbol table info available\.)\n", re.MULTILINE)


class Backtraces:
    """Prints backtraces.

    `deep_threads` are the gdb numbers of threads with too many frames, of which only the innermost are shown;
    `threads_without_locals` those with omitted locals; `crashed_frames` is the number of frames of the crashed thread,
    if it is a deep one and they could be counted. `walked_threads` are known not to have too many: the frames of a
    thread are forgotten when gdb switches to another one.
    """

    def __init__(self, walked_threads: set[int]) -> None:
        self._walked_threads = walked_threads
        self.deep_threads: list[int] = []
        self.threads_without_locals: list[int] = []
        self.crashed_frames: int | None = None
        self._notes: dict[int, str] = {}
        crashed = gdb.selected_thread()
        self._crashed = crashed.num if crashed is not None else None

    def write_crashed_thread(self) -> None:
        """Write the selected thread, in short and in full."""
        thread = gdb.selected_thread()
        number = thread.num if thread else 0
        limit = JOB["output_bytes"] // 8
        write("backtrace.txt", self._print(number, "bt"))
        write("backtrace.txt", self._limit(limit, number, self._print(number, "bt full")))
        if thread is not None:
            write("thread1.txt", self._limit(limit, number, self._print_full(thread)))

    def write_all(self, threads: list[gdb.InferiorThread]) -> None:
        """Write all threads one by one, in the order of `thread apply all`, so that a kill loses one thread's text.

        The frames of a thread are computed and printed once, in full; removing the locals gives the short backtrace.
        If full backtraces take too much time or space, all threads are printed in short first.
        """
        postponed: list[gdb.InferiorThread] = []
        cpu_limit, limit = time.process_time() + FULL_CPU_SECONDS, time.monotonic() + FULL_SECONDS
        for index, thread in enumerate(threads):
            thread.switch()
            in_full = not postponed and time.process_time() < cpu_limit and time.monotonic() < limit
            full = self._print_full(thread) if in_full else ""
            short = LOCALS.sub("", full)
            if not FRAME.search(short):
                short = self._print(thread.num, f"thread apply {thread.num} bt")
            write("backtrace.txt", short)
            write("brief.txt", short)
            # Each remaining thread is expected to need as much as this one, for brief.txt and backtrace.txt.
            reserved = (len(threads) - 1 - index) * 2 * len(short)
            if in_full and len(full) + reserved <= remaining_bytes():
                write("full.txt", full)
            else:
                postponed.append(thread)
        self._write_postponed(postponed)

    def _write_postponed(self, threads: list[gdb.InferiorThread]) -> None:
        """Write the full backtraces of the postponed threads, as far as there is space."""
        for thread in threads:
            if remaining_bytes() <= 0:
                add_once(self.threads_without_locals, thread.num)
                write("full.txt", f"(Thread {thread.num} is omitted: gdb.output is reached, see brief.txt)\n")
                continue
            thread.switch()
            write("full.txt", self._limit(remaining_bytes(), thread.num, self._print_full(thread)))

    def _print_full(self, thread: gdb.InferiorThread) -> str:
        return self._print(thread.num, f"thread apply {thread.num} bt full")

    def _limit(self, limit: int, number: int, text: str) -> str:
        """Return the text, cut to `limit` characters."""
        if len(text) <= limit:
            return text
        add_once(self.threads_without_locals, number)
        return f"{text[:limit]}\n(truncated: gdb.output is reached)\n"

    def _print(self, number: int, command: str) -> str:
        """Return what a backtrace command prints for the selected thread, whose gdb number is `number`."""
        if number in self._walked_threads or (number not in self.deep_threads and not has_deep_stack()):
            return run(command)
        add_once(self.deep_threads, number)
        gdb.execute(f"set backtrace limit {JOB['innermost_frames']}")
        text = run(command)
        gdb.execute("set backtrace limit unlimited")
        if number not in self._notes:  # counting the frames takes a while
            self._notes[number] = self._describe_omitted()
        return f"{text}({self._notes[number]})\n"

    def _describe_omitted(self) -> str:
        """Return how many frames the selected thread has, and which functions the outermost ones are in."""
        counted = count_frames(MAX_COUNTED_FRAMES)
        if counted is None:
            callers = outermost_functions()
            note = f"More stack frames follow: more than {JOB['deep_frames']}, only the innermost are shown"
            return f"{note}; the outermost frames return to {', '.join(callers)}" if callers else note
        count, names = counted
        thread = gdb.selected_thread()
        if thread is not None and thread.num == self._crashed:
            self.crashed_frames = count
        note = f"More stack frames follow: {count} in all, only the innermost are shown"
        return f"{note}; the outermost are in {', '.join(names)}"


def remaining_bytes() -> int:
    """Return how much the sections may still grow; one eighth of the limit is reserved for the tables."""
    return int(JOB["output_bytes"]) * 7 // 8 - written_bytes()


def add_once(numbers: list[int], number: int) -> None:
    """Append a number that is not in the list yet."""
    if number not in numbers:
        numbers.append(number)
