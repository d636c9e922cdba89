"""Users and groups that one program alone sees: files of its own in the place of /etc/passwd and /etc/group."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from tests.support.harness import RunningDaemon

_FILES = ("passwd", "group")


@dataclass(frozen=True)
class Accounts:
    """The files, in `directory`; they are changed in place, since mounts are of files and not of names."""

    directory: Path

    @classmethod
    def seen_by(cls, running: RunningDaemon, directory: Path) -> "Accounts":
        """Lets a daemon that is to be started see copies of the machine's."""
        for name in _FILES:
            shutil.copy(f"/etc/{name}", directory / name)
        mounts = "; ".join(f"mount --bind {directory / name} /etc/{name}" for name in _FILES)
        running.wrapper = ("unshare", "--mount", "sh", "-ec", f'{mounts}; exec "$@"', "sh")
        return cls(directory)

    def remove(self, name: str) -> int:
        """Removes the user and the group of that name; returns the group's id."""
        number = 0
        for file in map(self.directory.joinpath, _FILES):
            lines = file.read_text().splitlines(keepends=True)
            gone = [line for line in lines if line.startswith(f"{name}:")]
            number = int(gone[0].split(":")[2]) if gone else number
            file.write_text("".join(line for line in lines if line not in gone))
        return number

    def add(self, name: str, number: int) -> None:
        """Adds a user and a group of that name and id."""
        entries = (f"{name}:x:{number}:{number}::/nonexistent:/usr/sbin/nologin", f"{name}:x:{number}:")
        for file, entry in zip(map(self.directory.joinpath, _FILES), entries, strict=True):
            with file.open("a") as accounts:
                accounts.write(f"{entry}\n")
