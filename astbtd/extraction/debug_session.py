"""Run gdb for a person on a core: in the same sandbox as an extraction, with the objects of the build that crashed.

gdb sees only objects that were checked: a module of another build would give wrong names.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from astbtd.extraction.core_objects import CoreObjects
from astbtd.extraction.gdb_files import copies_directory, descriptor_path, settings_options, sysroot_option
from astbtd.extraction.gdb_runner import Extractor
from astbtd.extraction.sandbox_command import grant_read, kill_leftovers, sandboxed_command
from astbtd.extraction.sandbox_kernel import run_sandboxed
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
            objects = self.extractor.prepare_objects(core, facts, copies, always_tree=True)
            self._warn_about(objects)
            argv = self._argv(readable, objects, facts.process.executable, arguments)
            settings = replace(self.extractor.settings, time=_CPU_SECONDS)
            return subprocesses.run_on_terminal(
                sandboxed_command(argv, user, settings),
                pass_fds=(readable,),
                directory=copies,
                environment={name: os.environ[name] for name in _TERMINAL_VARIABLES if name in os.environ},
                starter=run_sandboxed,
            )

    def _argv(self, core: int, objects: CoreObjects, program: str | None, arguments: Sequence[str]) -> list[str]:
        tree = objects.shared.tree
        options = settings_options(self.extractor.debug_directories) + sysroot_option(tree or _NO_DIRECTORY)
        opened = ["-se", path] if tree and (path := objects.executable_path(program)) else []
        return [
            *(self.extractor.settings.program, "-nx", "-nh", "-q"),
            *(*options, *opened, "-c", descriptor_path(core), *arguments),
        ]

    def _warn_about(self, objects: CoreObjects) -> None:
        for path in objects.shared.missing:
            self.warn(f"gdb has no names in {path}: it cannot be read")
        for path in sorted(objects.outdated):
            self.warn(f"gdb has no names in {path}: the file is another build now, and no copy was kept")
