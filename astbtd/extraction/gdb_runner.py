"""Extracts the backtraces of one core: one gdb run, bounded, whatever it leaves kept.

A run that ends before it has even the crashed thread is repeated once with a limit on frames (runaway recursion has
hundreds of thousands); a gdb without Python is given the command line of the Asterisk documentation instead.
"""

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

from astbtd.errors import AstbtdError
from astbtd.extraction import build_ids, output_files, reported_states, script_archive, shared_objects
from astbtd.extraction.object_server import ObjectServer, shown
from astbtd.extraction.output_files import Sections
from astbtd.extraction.sandbox_command import SandboxUser, confined, lent, none_left
from astbtd.extraction.sandbox_kernel import secluded
from astbtd.extraction.script_report import GdbFacts
from astbtd.extraction.shared_objects import Objects
from astbtd.lib import files, subprocesses
from astbtd.model.crash import Asterisk, CoreFacts, Extraction, ExtractionOutcome, Section, Symbols
from astbtd.model.deadlock_capture import ThreadStates
from astbtd.settings import GdbSettings

_SETTINGS = (
    "set auto-load no",
    "set auto-load safe-path",
    "set auto-load libthread-db on",
    "set libthread-db-search-path $sdir",  # never the library that lies beside the crashed process's own
    "set debuginfod enabled off",
    "set solib-search-path .",
    "maintenance set worker-threads 0",
)
_NOWHERE = "/nonexistent"
_PART_SECONDS = 20  # of CPU time, for one table of info.txt or locks.txt: 20,000 channels took two
_DOCUMENTED = ("bt", "bt full", "thread apply all bt")
_NO_PYTHON = b"Python scripting is not supported"
_WHY_NO_PYTHON = (
    "this gdb has no Python, so there is only backtrace.txt; install the package gdb in place of gdb-minimal"
)


@dataclass(frozen=True)
class Extracted:
    """What is known from gdb, besides the texts in the sections' files."""

    extraction: Extraction
    asterisk: Asterisk
    abort_message: str | None
    states: ThreadStates
    objects: Objects


NOTHING_EXTRACTED = Extracted(
    Extraction(gdb_version=None, seconds=0.0, ended=ExtractionOutcome.OK, sections={}, symbols=Symbols.ALL),
    Asterisk(),
    None,
    ThreadStates(),
    Objects((), (), False),
)
"""Of a crash without a core."""


@dataclass(frozen=True)
class Extractor:
    """How cores are extracted. `group` may read the texts, -1 for our own.

    `symbols` says whose gdb reads; `reserve` raises NoRoom when so many bytes more are not to be had; `stopped` raises
    to end a run early.
    """

    settings: GdbSettings
    account: SandboxUser
    group: int
    symbols: Symbols
    reserve: Callable[[int], None]
    stopped: Callable[[], None]

    def extract(self, core: int, facts: CoreFacts, directory: Path, *, brief: bool = False) -> Extracted:
        """Writes the sections of the core open at `core` into `directory`, which must be empty; when `brief`, only what
        the crashed thread gives.

        Raises AstbtdError where gdb cannot be started, and whatever `stopped` raises.
        """
        if shutil.which(self.settings.program, path=subprocesses.ENVIRONMENT["PATH"]) is None:
            raise AstbtdError(f"{self.settings.program} is not installed", "apt install gdb, or set gdb.program")
        with (
            _copies(directory.with_name(f"{directory.name}.objects"), self.account) as copies,
            output_files.opened(directory, self.group) as opened,
            lent(core, self.account) as lent_core,
        ):
            process, root = facts.process, self._root(facts)
            pipes = tuple(filter(shared_objects.is_pipe, facts.objects))
            if root is None or pipes:  # gdb would wait for what comes out of them
                nothing = Objects((), pipes, False)
                return _Work(self, lent_core, facts, nothing, copies, opened, _NOWHERE, brief).extract()
            found = shared_objects.prepare(
                process.executable, process.build_id, facts.objects, self.account, copies, self.reserve, root
            )
            return _Work(self, lent_core, facts, found, copies, opened, root, brief).extract()

    def _root(self, facts: CoreFacts) -> str | None:
        """The directory in which the paths of the process begin; None where nobody has said which one it is.

        Not every core tells that it comes from a container: then its program does.
        """
        root, process = self.settings.container_root, facts.process
        if process.container:
            return root
        elsewhere = root and shared_objects.is_only_below(root, process.executable, process.build_id)
        return root if elsewhere else ""


@dataclass(frozen=True)
class _Work:
    """The runs of gdb for one core, in `copies`, the directory of readable copies.

    gdb looks for a shared object it cannot open under its full path in the working directory (solib.c, solib_find_1).
    """

    extractor: Extractor
    core: int
    facts: CoreFacts
    found: Objects
    copies: Path
    sections: Sections
    root: str
    brief: bool

    def extract(self) -> Extracted:
        finished, notes = self._best_run()
        self.sections.append(Section.INFO, f"\n{build_ids.listing(self.core, self.root)}")
        facts = GdbFacts.read(self.sections.facts())
        extraction = Extraction(
            gdb_version=facts.gdb_version,
            seconds=round(finished.seconds, 3),
            ended=finished.ended,
            sections=self.sections.sizes(),
            symbols=facts.symbols,
            notes=(*notes, *facts.cuts(self.extractor.settings), *self._unread()),
            brief=self.brief,
        )
        return Extracted(
            extraction, facts.asterisk, facts.abort_message, reported_states.read(self.sections.states()), self.found
        )

    def _unread(self) -> Iterator[str]:
        return (f"gdb could not read {path}" for path in self.found.missing)

    def _best_run(self) -> tuple[subprocesses.Finished, tuple[str, ...]]:
        first = self._run_with_python(frames=0)
        if self.sections.facts():
            return first, ()
        if _NO_PYTHON in self.sections.start_of(Section.LOG):
            return self._run_documented(), (_WHY_NO_PYTHON,)
        limit = self.extractor.settings.backtrace_limit
        second = self._run_with_python(frames=limit)
        cut = f"without a limit gdb gave no backtrace ({first.ended}): every thread is cut after {limit} frames"
        why = cut if self.sections.facts() else "gdb gave no backtrace; gdb.log says why"
        ended = ExtractionOutcome.FAILED if first.ended is ExtractionOutcome.OK else first.ended
        return replace(second, ended=ended, seconds=first.seconds + second.seconds), (why,)

    def _run_with_python(self, frames: int) -> subprocesses.Finished:
        with _in_memory(script_archive.program()) as program, self._to_be_shown() as to_show:
            job = {
                "core": _path(self.core),
                "executable": self._program(),
                "shown": to_show and to_show.name,
                "asking": to_show and to_show.asking.fileno(),
                "frames": frames,
                "brief": self.brief,
                "deep": self.extractor.settings.deep,
                "innermost": self.extractor.settings.backtrace_limit,
                "output": self.extractor.settings.output,
                "sections": self.sections.descriptors,
                "crashed_at": self.facts.crashed_at.timestamp(),
                "part_seconds": _PART_SECONDS,
            }
            return self._run(
                ["-ex", script_archive.command(_path(program))],
                Section.LOG,
                pass_fds=(program, to_show.asking.fileno()) if to_show else (program,),
                environment={"ASTBTD_JOB": json.dumps(job), "PYTHONPATH": _path(program)},
                serve={to_show.asked.fileno(): to_show.answer} if to_show else {},
            )

    def _run_documented(self) -> subprocesses.Finished:
        program = ["-se", executable] if (executable := self._program()) else []
        return self._run([*program, "-c", _path(self.core), *_each("-ex", _DOCUMENTED)], Section.BACKTRACE)

    def _run(
        self,
        arguments: Sequence[str],
        output: Section,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] = MappingProxyType({}),
        serve: Mapping[int, Callable[[], bool]] = MappingProxyType({}),
    ) -> subprocesses.Finished:
        self.sections.clear()
        settings = _each("-iex", (*_SETTINGS, f"set sysroot {self.root or '/'}"))
        argv = [self.extractor.settings.program, "-nx", "-nh", "--batch", *settings, *arguments]
        run = partial(
            subprocesses.run,
            confined(argv, self.extractor.account, self.extractor.settings),
            timeout=self.extractor.settings.time,
            output=self.sections.descriptors[output],
            pass_fds=(self.core, *self.sections.descriptors.values(), *pass_fds),
            directory=self.copies,
            environment=environment,
            watch=self._watch,
            serve=serve,
        )
        with none_left(self.extractor.account):
            finished = secluded(run, writable=[str(self.copies)])
        self.sections.cut(self.extractor.settings.output)
        return finished

    def _program(self) -> str | None:
        """What gdb is to open as the executable; None when it can open none.

        A path is part of a command, which a newline would end, and which has to be text.
        """
        executable = self.facts.process.executable
        if executable is None or not executable.isprintable():
            return None
        if executable in self.found.copied:
            return shared_objects.place(".", executable)
        nowhere = executable in self.found.missing or self.root == _NOWHERE
        return None if nowhere else f"{self.root}{executable}"

    def _to_be_shown(self) -> AbstractContextManager[ObjectServer | None]:
        """What shows gdb the objects it asks for; None where it reads all.

        A container's objects are read as they are: links to them would lead out of it.
        """
        if self.extractor.symbols is Symbols.ALL or self.root:
            return nullcontext()
        return shown(self.copies, self.facts.objects, self.extractor.account.gid)

    def _watch(self) -> ExtractionOutcome | None:
        self.extractor.stopped()
        return ExtractionOutcome.TOO_MUCH_OUTPUT if self.sections.total() > self.extractor.settings.output else None


def _each(option: str, commands: Sequence[str]) -> list[str]:
    """The arguments that make gdb execute these commands, each behind `option`."""
    return [word for command in commands for word in (option, command)]


def _path(descriptor: int) -> str:
    """A name under which gdb opens what a descriptor is open on; its directories are not walked."""
    return f"/proc/self/fd/{descriptor}"


@contextmanager
def _copies(directory: Path, account: SandboxUser) -> Iterator[Path]:
    files.remove_tree(directory)
    files.make_directory(directory, group=account.gid if account.switched else -1)
    try:
        yield directory
    finally:
        files.remove_tree(directory)


@contextmanager
def _in_memory(content: bytes) -> Iterator[int]:
    """A descriptor to read `content` from, and no more, for a child that could not walk to any file of ours."""
    descriptor = os.memfd_create("astbtd", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        files.write_all(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
        yield descriptor
    finally:
        os.close(descriptor)
