"""What gdb needs besides a core: the directory in which it looks for files, the objects, and the executable."""

from dataclasses import dataclass
from functools import cached_property

from astbtd.extraction.build_ids import MappedObject, outdated_paths
from astbtd.extraction.gdb_files import program_path
from astbtd.extraction.object_paths import exists_only_in_root
from astbtd.extraction.shared_objects import SharedObjects
from astbtd.model.crash import CoreFacts

NO_ROOT = "/nonexistent"
"""The root directory of a process whose files cannot be found."""


@dataclass(frozen=True)
class CoreObjects:
    """The objects of a core, after they have been prepared for gdb.

    `root` is the root directory of the process, empty for that of the host. `mapped` are all that the process had
    mapped.
    """

    root: str
    shared: SharedObjects
    mapped: tuple[MappedObject, ...]

    @cached_property
    def outdated(self) -> frozenset[str]:
        """The paths at which another build than that of the process is now."""
        return outdated_paths(self.mapped)

    @property
    def sysroot(self) -> str:
        """The directory below which gdb looks for the files that the process had mapped."""
        return self.shared.tree or self.root or "/"

    def executable_path(self, executable: str | None) -> str | None:
        """Return the path that gdb opens the executable by; None if it cannot be opened.

        The path becomes part of a gdb command, so it must be printable: a newline would end the command.
        """
        if executable is None or not executable.isprintable() or executable in self.outdated:
            return None
        if executable in self.shared.missing or self.root == NO_ROOT:
            return None
        if self.shared.tree or executable in self.shared.copied:
            return program_path(executable, self.shared.tree)
        return f"{self.root}{executable}"


def process_root(facts: CoreFacts, container_root: str | None) -> str | None:
    """Return the root directory of the process, empty for that of the host; None if it is not configured.

    Not every core says that it comes from a container. It does if its program exists only there.
    """
    process = facts.process
    if process.container:
        return container_root
    if container_root and exists_only_in_root(container_root, process.executable, process.build_id):
        return container_root
    return ""
