"""Extract the backtraces of one core: one limited gdb run, whose output is kept however it ends.

gdb is started first: while it starts, the core is opened, and the objects that gdb needs are prepared.

If a run ends before it has written even the crashed thread, it is repeated once with a limit on frames, since runaway
recursion has hundreds of thousands. A gdb without Python runs the commands of the Asterisk documentation instead.
"""

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from types import MappingProxyType

from astbtd.extraction import build_ids, gdb_probe, object_paths, script_archive
from astbtd.extraction.build_ids import mark_kept, not_on_disk, outdated_paths
from astbtd.extraction.core_objects import NO_ROOT, CoreObjects, process_root
from astbtd.extraction.extracted_core import ExtractionResult, OpenForGdb, ReadableCore
from astbtd.extraction.gdb_files import (
    anonymous_file,
    copies_directory,
    descriptor_path,
    fill_file,
    settings_options,
    sysroot_option,
    with_option,
)
from astbtd.extraction.macro_free_copy import MacroFreeCopy
from astbtd.extraction.object_server import ObjectServer, serve_objects
from astbtd.extraction.output_files import OutputFiles, create_output_files
from astbtd.extraction.sandbox_command import SandboxUser, grant_read, kill_leftovers, sandboxed_command
from astbtd.extraction.sandbox_kernel import missing_restrictions, run_sandboxed
from astbtd.extraction.script_report import GdbFacts, parse_thread_states
from astbtd.extraction.shared_objects import NO_OBJECTS, ObjectCopier, ObjectSource, SharedObjects
from astbtd.lib import files, subprocesses
from astbtd.model.crash import OBJECTS_SUFFIX, CoreFacts, Extraction, ExtractionOutcome, Section, Symbols
from astbtd.settings import GdbSettings

_TABLE_SECONDS = 20  # of CPU time, for one table of info.txt or locks.txt; 20,000 channels took two
_DOCUMENTED_COMMANDS = ("bt", "bt full", "thread apply all bt")
_DISK_FULL_STATUS = 28  # as in script/job.py, which only gdb can import
_NOISE = re.compile(rb"^warning: Unexpected size of section `\.reg-xstate(?:/\d+)?' in core file\.\n", re.MULTILINE)
_LARGEST_READ_EARLY = 1 << 20  # bytes; 70 threads have 70 KB, and it takes 0.5 us to parse one
_NO_PYTHON = b"Python scripting is not supported"
_NO_PYTHON_NOTE = "this gdb has no Python, so only backtrace.txt was written; install gdb instead of gdb-minimal"


@dataclass(frozen=True)
class Extractor:
    """Settings of extractions.

    `group` may read the output, -1 for our own. `symbols` says whose symbols gdb reads. `check_reserve(bytes)` raises
    NoRoom if the disk has no such space; `check_interrupt` raises to end a run early. `objects` are kept ones.
    `debug_directories` are those in which gdb looks for separate debug files, separated by colons; empty for its own
    default. `meanwhile` is called while gdb runs, and `backtrace_written` when backtrace.txt is complete.
    """

    settings: GdbSettings
    user: SandboxUser
    group: int
    symbols: Symbols
    check_reserve: Callable[[int], None]
    check_interrupt: Callable[[], None]
    objects: ObjectSource = NO_OBJECTS
    debug_directories: str = ""
    meanwhile: Callable[[], None] = lambda: None
    backtrace_written: Callable[[], object] = lambda: None

    def extract(self, open_core: OpenForGdb, directory: Path, *, crash_thread_only: bool = False) -> ExtractionResult:
        """Write the sections of a core into `directory`, which must be empty and private.

        The core is opened when gdb has been started. While gdb runs, there is a second directory beside `directory`.

        Raise GdbCannotStart, NoRoom if the disk was full, and whatever `open_core` and `check_interrupt` raise.
        """
        gdb_probe.require_installed(self.settings.program)
        with (
            copies_directory(directory.with_name(f"{directory.name}{OBJECTS_SUFFIX}"), self.user) as copies,
            create_output_files(directory, self.group) as output,
            ExitStack() as until_end,
        ):

            def open_for_gdb() -> ReadableCore:
                core = open_core()
                return replace(core, descriptor=until_end.enter_context(grant_read(core.descriptor, self.user)))

            return _CoreExtraction(self, open_for_gdb, copies, output, crash_thread_only).extract()

    def prepare_objects(self, core: int, facts: CoreFacts, copies: Path, *, always_tree: bool = False) -> CoreObjects:
        """Prepare the objects that gdb needs: what it cannot read is copied to the directory `copies`.

        With `always_tree`, gdb sees nothing else. Raise NoRoom, and whatever `check_interrupt` raises.
        """
        root, process = process_root(facts, self.settings.container_root), facts.process
        mapped = build_ids.list_mapped_objects(core, root or "")
        fifos = () if self.user.switched else tuple(filter(object_paths.is_fifo, facts.objects))
        if root is None or fifos:
            return CoreObjects(NO_ROOT, SharedObjects(missing=fifos), mapped)
        copier = ObjectCopier(
            self.user, copies, self.check_reserve, root, self.check_interrupt, self.objects, always_tree
        )
        outdated = outdated_paths(mapped)
        needed = [path for path in facts.objects if path not in outdated]
        objects = copier.prepare(process.executable, process.build_id, needed, not_on_disk(mapped))
        if not always_tree and process.executable not in outdated:
            objects = MacroFreeCopy(self.user, copies, root, self.check_reserve).add(objects, process.executable)
        return CoreObjects(root, objects, mark_kept(mapped, objects.kept))


@dataclass(frozen=True)
class _CoreExtraction:
    """The gdb runs for one core. `copies` is the directory with readable copies of objects.

    It is gdb's working directory: there gdb looks for a shared object, under its full path, if it cannot open the
    object itself (solib.c, solib_find_1).
    """

    extractor: Extractor
    open_core: OpenForGdb
    copies: Path
    output: OutputFiles
    crash_thread_only: bool

    @cached_property
    def core(self) -> ReadableCore:
        """The core, which is opened at the first use."""
        return self.open_core()

    @cached_property
    def objects(self) -> CoreObjects:
        """The objects that gdb needs, which are prepared at the first use."""
        return self.extractor.prepare_objects(self.core.descriptor, self.core.facts, self.copies)

    def extract(self) -> ExtractionResult:
        finished, notes = self._run_best()
        self.output.remove_lines((Section.LOG, Section.BACKTRACE), _NOISE)
        shared, mapped = self.objects.shared, self.objects.mapped
        self.output.append(Section.INFO, f"\n{build_ids.format_objects(mapped)}")
        facts = GdbFacts.from_json(self.output.read_facts())
        unreadable = object_paths.describe_unread(shared.missing, self.core.facts.omitted)
        extraction = Extraction(
            gdb_version=facts.gdb_version,
            seconds=round(finished.seconds, 3),
            ended=finished.ended,
            sections=self.output.section_sizes(),
            symbols=facts.symbols,
            notes=(*notes, *facts.omissions(self.extractor.settings), *unreadable, *missing_restrictions()),
            brief=self.crash_thread_only,
        )
        states = parse_thread_states(self.output.read_states())
        asterisk, message, frames = facts.asterisk, facts.abort_message, facts.crashed_frames
        return ExtractionResult(extraction, asterisk, message, states, shared, mapped, frames)

    def _run_best(self) -> tuple[subprocesses.Finished, tuple[str, ...]]:
        """Run gdb until there is a backtrace; return how it ended, and notes for the record. Raise GdbCannotStart."""
        first = self._run_script(frame_limit=0)
        if first.status == _DISK_FULL_STATUS:  # and there is room again; otherwise NoRoom was raised
            first = self._run_script(frame_limit=0)
        if self.output.read_facts():
            return first, ()
        if _NO_PYTHON in self.output.read_start(Section.LOG):
            return self._run_documented_commands(), (_NO_PYTHON_NOTE,)
        gdb_probe.require_working(self.extractor.settings, self.extractor.user, first, self._check_limits)
        limit = self.extractor.settings.backtrace_limit
        second = self._run_script(frame_limit=limit)
        if self.output.read_facts():
            reason = f"gdb gave no backtrace without a frame limit ({first.ended})"
            note = f"{reason}: every thread is cut after {limit} frames"
        else:
            note = "gdb gave no backtrace; see gdb.log for the reason"
        ended = ExtractionOutcome.FAILED if first.ended is ExtractionOutcome.OK else first.ended
        return replace(second, ended=ended, seconds=first.seconds + second.seconds), (note,)

    def _run_script(self, frame_limit: int) -> subprocesses.Finished:
        """Run gdb with our script; a limit of 0 is none."""
        with (
            anonymous_file() as archive,
            anonymous_file() as rest,
            serve_objects(self.copies, self.extractor.user.gid, self._handle_backtrace) as server,
        ):
            fill_file(archive, script_archive.build_archive())
            request_fd = server.client_socket.fileno()
            job = {**self._job(frame_limit), "request_fd": request_fd, "rest_fd": rest}
            return self._run(
                ["-ex", script_archive.start_command(descriptor_path(archive))],
                Section.LOG,
                pass_fds=(archive, request_fd, rest),
                environment={"ASTBTD_JOB": json.dumps(job)},
                serve={server.server_socket.fileno(): server.handle_request},
                meanwhile=partial(self._prepare, server, rest),
            )

    def _prepare(self, server: ObjectServer, rest: int) -> None:
        """Open the core and prepare the objects; then give the core to the script, which waits for it.

        The file `rest` has the other parameters of the script.
        """
        is_lazy = self._requests_objects()
        if is_lazy:
            served = (path for path in self.core.facts.objects if path not in self.objects.outdated)
            server.offer(served, self.objects.shared.tree)
        fill_file(rest, json.dumps(self._rest_of_job(server.name if is_lazy else None)).encode())
        server.send_core(self.core.descriptor)
        self.extractor.meanwhile()

    def _handle_backtrace(self) -> None:
        """Let a backtrace be read while gdb goes on. During that time, gdb's limits are not checked."""
        if os.fstat(self.output.descriptors[Section.BACKTRACE]).st_size <= _LARGEST_READ_EARLY:
            self.output.remove_lines((Section.BACKTRACE,), _NOISE)
            self.extractor.backtrace_written()

    def _rest_of_job(self, object_directory: str | None) -> dict[str, object]:
        """Return the parameters of the script that depend on the core, see script/job.py."""
        facts = self.core.facts
        return {
            "crashed_at": facts.crashed_at.timestamp(),
            "executable": self.objects.executable_path(facts.process.executable),
            "outdated": sorted(self.objects.outdated),
            "sysroot": self.objects.sysroot,
            "object_directory": object_directory,
        }

    def _job(self, frame_limit: int) -> dict[str, object]:
        """Return the parameters of the script that are known when gdb is started, see script/job.py."""
        settings = self.extractor.settings
        return {
            "frame_limit": frame_limit,
            "crash_thread_only": self.crash_thread_only,
            "deep_frames": settings.deep,
            "innermost_frames": settings.backtrace_limit,
            "output_bytes": settings.output,
            "sections": self.output.descriptors,
            "table_seconds": _TABLE_SECONDS,
        }

    def _run_documented_commands(self) -> subprocesses.Finished:
        core = self.core.descriptor
        executable = self.objects.executable_path(self.core.facts.process.executable)
        program = ["-se", executable] if executable else []
        commands = with_option("-ex", _DOCUMENTED_COMMANDS)
        options = sysroot_option(self.objects.sysroot)
        return self._run([*options, *program, "-c", descriptor_path(core), *commands], Section.BACKTRACE, (core,))

    def _run(
        self,
        arguments: Sequence[str],
        section: Section,
        pass_fds: Sequence[int] = (),
        environment: Mapping[str, str] = MappingProxyType({}),
        serve: Mapping[int, Callable[[], bool]] = MappingProxyType({}),
        meanwhile: Callable[[], None] = lambda: None,
    ) -> subprocesses.Finished:
        """Run gdb in the sandbox; its standard output goes to `section`."""
        self.output.clear()
        settings, user = self.extractor.settings, self.extractor.user
        gdb_settings = settings_options(self.extractor.debug_directories)
        argv = [settings.program, "-nx", "-nh", "--batch", *gdb_settings, *arguments]
        with kill_leftovers(user):
            finished = subprocesses.run(
                sandboxed_command(argv, user, settings),
                timeout=settings.time,
                output=self.output.descriptors[section],
                pass_fds=(*self.output.descriptors.values(), *pass_fds),
                directory=self.copies,
                environment=environment,
                watch=self._check_limits,
                serve=serve,
                meanwhile=meanwhile,
                starter=run_sandboxed,
                kill_first=True,
            )
        if finished.status == _DISK_FULL_STATUS or not self.output.read_facts():
            with files.wrap_os_error("cannot write the backtrace"):  # before anything is removed
                self.output.check_space()
        self.output.truncate(settings.output)
        return finished

    def _requests_objects(self) -> bool:
        """Return whether gdb requests objects; otherwise it reads all of them.

        The objects of a container are read below its root: symbolic links to them would lead out of it. If files were
        replaced, gdb must not read all.
        """
        return not self.objects.root and (self.extractor.symbols is not Symbols.ALL or bool(self.objects.outdated))

    def _check_limits(self) -> ExtractionOutcome | None:
        self.extractor.check_interrupt()
        if self.output.total_bytes() > self.extractor.settings.output:
            return ExtractionOutcome.TOO_MUCH_OUTPUT
        return None
