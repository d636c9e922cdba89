"""The work of the networked unit: ask for each build id that is wanted, and write down what became of it."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from astbtd.errors import NoRoom
from astbtd.lib import files
from astbtd.lib.quantities import format_size
from astbtd.symbols.debuginfod_client import DebuginfodClient
from astbtd.symbols.symbol_directories import SymbolDirectories
from astbtd.symbols.symbol_requests import Answer, Result, read_answers, read_wanted, write_answers


@dataclass(frozen=True)
class Download:
    """Downloads with `client`. `minimum_free` is the share of the disk that stays free, `log` writes a warning."""

    directories: SymbolDirectories
    client: DebuginfodClient
    minimum_free: float
    log: Callable[[str], None]

    def run(self) -> dict[str, Answer]:
        """Ask for what is wanted and not answered yet; return all answers about what is wanted.

        Each answer is written at once, so that a kill loses none. Raise AstbtdError, NoRoom if the disk is full.
        """
        self._remove_leftovers()
        wanted = read_wanted(self.directories)
        known = read_answers(self.directories)
        answers = {build_id: known[build_id] for build_id in wanted if build_id in known}
        for build_id in wanted:
            if not self._is_answered(build_id, answers.get(build_id)):
                answers[build_id] = self._ask(build_id, answers.get(build_id))
                with files.wrap_os_error(f"cannot write {self.directories.answers}"):
                    write_answers(self.directories, answers)
        return answers

    def _remove_leftovers(self) -> None:
        with files.wrap_os_error(f"cannot use {self.directories.downloads}"):
            files.make_directory(self.directories.found, files.PRIVATE_DIRECTORY_MODE)
            files.remove_tree(self.directories.work)
            files.temporary_path(self.directories.answers).unlink(missing_ok=True)

    def _is_answered(self, build_id: str, answer: Answer | None) -> bool:
        """Return whether a build id need not be asked for: its file waits to be taken over, or the answer holds."""
        if os.path.exists(self._target(build_id)):
            return True
        return answer is not None and answer.is_valid(datetime.now(UTC))

    def _ask(self, build_id: str, before: Answer | None) -> Answer:
        """Ask for a build id. Log why that was in vain, unless the last answer, `before`, was the same."""
        with files.wrap_os_error("cannot download debug files"):
            self._check_space()
            result, reason = self.client.fetch(build_id, self._target(build_id))
        is_known = before is not None and (before.result, before.reason) == (result, reason)
        if result in (Result.REFUSED, Result.FAILED) and not is_known:
            what = "refused the debug file" if result is Result.REFUSED else "could not obtain the debug file"
            self.log(f"{what} of build {build_id}: {reason}")
        return Answer(result, datetime.now(UTC), reason)

    def _check_space(self) -> None:
        """Raise NoRoom if a file of the largest size would leave too little of the disk free."""
        disk = os.statvfs(self.directories.downloads)
        spare = (disk.f_bavail - self.minimum_free * disk.f_blocks) * disk.f_frsize
        if spare < self.client.size:
            raise NoRoom(
                f"a debug file of {format_size(self.client.size)} would leave less than {self.minimum_free:.0%} of the "
                f"disk of {self.directories.downloads} free",
                "free some disk space, or lower symbols.size or retention.minimum_free",
            )

    def _target(self, build_id: str) -> Path:
        return self.directories.found / build_id


def summarize(answers: dict[str, Answer]) -> str:
    """Return in a few words how many build ids had which result, such as `2 found, 1 missing`."""
    counts = {result: sum(each.result is result for each in answers.values()) for result in Result}
    return ", ".join(f"{count} {result}" for result, count in counts.items() if count) or "nothing was wanted"
