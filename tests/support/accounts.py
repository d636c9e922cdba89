"""Users and groups that only one program sees: its own files are mounted over /etc/passwd and /etc/group."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.support.harness import RunningDaemon

_FILES = ("passwd", "group")


@dataclass(frozen=True)
class Accounts:
    """The files, in `directory`. They are changed in place: a bind mount stays on the old file if it is replaced."""

    directory: Path

    @classmethod
    def mounted_for(cls, running: RunningDaemon, directory: Path) -> "Accounts":
        """Let a daemon that is not yet started see copies of the files of this machine."""
        for name in _FILES:
            shutil.copy(f"/etc/{name}", directory / name)
        mounts = "; ".join(f"mount --bind {directory / name} /etc/{name}" for name in _FILES)
        running.wrapper = ("unshare", "--mount", "sh", "-ec", f'{mounts}; exec "$@"', "sh")
        return cls(directory)

    def remove(self, name: str) -> int:
        """Remove the user and the group of this name. Return the id of the group."""
        number = 0
        for file in map(self.directory.joinpath, _FILES):
            lines = file.read_text().splitlines(keepends=True)
            removed = [line for line in lines if line.startswith(f"{name}:")]
            number = int(removed[0].split(":")[2]) if removed else number
            file.write_text("".join(line for line in lines if line not in removed))
        return number

    def add(self, name: str, number: int) -> None:
        """Add a user and a group with this name and id."""
        entries = (f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin", f"{name}:x:{number}:")
        for file, entry in zip(map(self.directory.joinpath, _FILES), entries, strict=True):
            with file.open("a") as accounts:
                accounts.write(f"{entry}\n")
