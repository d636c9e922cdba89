"""Run gdb for a person on a core: in the same sandbox as an extraction, with the objects of the build that crashed.

gdb sees only objects that were checked: a module of another build would give wrong names.
"""

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.extraction.build_ids import outdated_paths
from astbtd.extraction.gdb_files import copies_directory, descriptor_path, program_path, settings_options
from astbtd.extraction.gdb_runner import Extractor
from astbtd.extraction.sandbox_command import grant_read, kill_leftovers, sandboxed_command
from astbtd.extraction.sandbox_kernel import run_sandboxed
from astbtd.extraction.shared_objects import SharedObjects
from astbtd.lib import subprocesses
from astbtd.model.crash import CoreFacts

_CPU_SECONDS = 3600.0  # instead of the limit for an extraction, which nobody waits for
_NO_DIRECTORY = "/nonexistent"
_TERMINAL_VARIABLES = ("TERM", "LINES", "COLUMNS")


@dataclass(frozen=True)
class DebugSession:
    """Runs gdb with the settings of `extractor`. `warn` tells the person what gdb lacks."""

    extractor: Extractor
    warn: Callable[[str], None]

    def run(self, core: int, facts: CoreFacts, directory: Path, arguments: Sequence[str]) -> int:
        """Run gdb on the core open at `core` until it ends; return its exit status. `arguments` are gdb's own.

        Objects are copied into `directory`, which must be private. Raise AstbtdError, NoRoom.
        """
        user = self.extractor.user
        with (
            copies_directory(directory / "objects", user) as copies,
            grant_read(core, user) as readable,
            kill_leftovers(user),
        ):
            _, objects, mapped = self.extractor.prepare_objects(core, facts, copies, always_tree=True)
            outdated = outdated_paths(mapped)
            self._warn_about(objects, outdated)
            program = facts.process.executable
            lacks_program = program in outdated or program in objects.missing
            argv = self._argv(readable, None if lacks_program else program, objects, arguments)
            settings = replace(self.extractor.settings, time=_CPU_SECONDS)
            return subprocesses.run_on_terminal(
                sandboxed_command(argv, user, settings),
                pass_fds=(readable,),
                directory=copies,
                environment={name: os.environ[name] for name in _TERMINAL_VARIABLES if name in os.environ},
                starter=run_sandboxed,
            )

    def _argv(self, core: int, program: str | None, objects: SharedObjects, arguments: Sequence[str]) -> list[str]:
        options = settings_options(objects.tree or _NO_DIRECTORY, self.extractor.debug_directories)
        opened = ["-se", program_path(program, objects.tree)] if objects.tree and program else []
        return [
            *(self.extractor.settings.program, "-nx", "-nh", "-q"),
            *(*options, *opened, "-c", descriptor_path(core), *arguments),
        ]

    def _warn_about(self, objects: SharedObjects, outdated: Collection[str]) -> None:
        for path in objects.missing:
            self.warn(f"gdb has no names in {path}: it cannot be read")
        for path in sorted(outdated):
            self.warn(f"gdb has no names in {path}: the file is another build now, and no copy was kept")
