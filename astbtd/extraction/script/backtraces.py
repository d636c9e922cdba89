"""Prints the threads' backtraces: the crashed one's first, each once, all within limits, of which the text tells."""

from __future__ import annotations

import re
import time

import gdb

from astbtd.extraction.script.job import JOB, run, write, written
from astbtd.extraction.script.object_loading import is_deep
from astbtd.extraction.script.thread_entry import outermost

AT_ONCE = 10  # seconds
FRAME = re.compile(r"^#", re.MULTILINE)
LOCALS = re.compile(r"^(?:        .*|No locals\.|No symbol table info available\.)\n", re.MULTILINE)


class Backtraces:
    """The backtraces. `deep` are the numbers of threads with more than JOB["deep"] frames, of which the innermost are
    shown; `cut` those of which locals are missing.
    """

    def __init__(self) -> None:
        self.deep: list[int] = []
        self.cut: list[int] = []

    def crashed(self) -> None:
        """The selected thread, in short and in full."""
        thread = gdb.selected_thread()
        number = thread.num if thread else 0
        most = JOB["output"] // 8
        write("backtrace.txt", self._printed(number, "bt"))
        write("backtrace.txt", self._within(most, number, self._printed(number, "bt full")))
        if thread is not None:
            write("thread1.txt", self._within(most, number, self._full(thread)))

    def all(self, threads: list[gdb.InferiorThread]) -> None:
        """One thread at a time, so that a kill loses one thread's text; in the order of `thread apply all`.

        A thread's frames are computed and printed once, in full, and the backtrace in short is what remains without the
        locals; until what is in full costs so much that it waits for all in short.
        """
        waiting: list[gdb.InferiorThread] = []
        started = time.monotonic()
        for left, thread in zip(range(len(threads) - 1, -1, -1), threads):
            thread.switch()
            at_once = not waiting and time.monotonic() - started < AT_ONCE
            full = self._full(thread) if at_once else ""
            short = LOCALS.sub("", full)
            text = short if FRAME.search(short) else self._printed(thread.num, f"thread apply {thread.num} bt")
            write("backtrace.txt", text)
            write("brief.txt", text)
            if at_once and len(full) + left * 2 * len(text) <= room():  # the others are like this one
                write("full.txt", full)
            else:
                waiting.append(thread)
        self._locals_of(waiting)

    def _locals_of(self, threads: list[gdb.InferiorThread]) -> None:
        """What is in full of those that had to wait, as far as there is room."""
        for thread in threads:
            if room() <= 0:
                note(self.cut, thread.num)
                write("full.txt", f"(Thread {thread.num} is left out: gdb.output allows no more, brief.txt has it)\n")
                continue
            thread.switch()
            write("full.txt", self._within(room(), thread.num, self._full(thread)))

    def _full(self, thread: gdb.InferiorThread) -> str:
        return self._printed(thread.num, f"thread apply {thread.num} bt full")

    def _within(self, most: int, number: int, text: str) -> str:
        """The text, or so many characters of it at most."""
        if len(text) <= most:
            return text
        note(self.cut, number)
        return f"{text[:most]}\n(cut here: gdb.output allows no more)\n"

    def _printed(self, number: int, command: str) -> str:
        """What a command prints of the selected thread."""
        if number not in self.deep and not is_deep():
            return run(command)
        note(self.deep, number)
        gdb.execute(f"set backtrace limit {JOB['innermost']}")
        text = run(command)
        gdb.execute("set backtrace limit unlimited")
        callers = outermost()
        began = f"; the outermost return to {', '.join(callers)}" if callers else ""
        return f"{text}(More stack frames follow: more than {JOB['deep']}, of which these are the innermost{began})\n"


def room() -> int:
    """How much more the sections may hold, an eighth left for the tables."""
    return int(JOB["output"]) * 7 // 8 - written()


def note(numbers: list[int], number: int) -> None:
    """Adds a number that is not there yet."""
    if number not in numbers:
        numbers.append(number)
