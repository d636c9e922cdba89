"""`astbtd core`: writes a kept core, and overwrites nothing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.claims.claim_file import ClaimFiles, ClaimRecord
from astbtd.cli import pending_crash
from astbtd.model.crash import CoreFacts, CoreState, Crash, DiscoveredBy
from astbtd.store.core_archive import compress_core
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.cli_types import Keep, Run

Claim = Callable[[Crash], Callable[[], None]]
CORE = b"\x7fELF" + bytes(100_000) + b"end"


@pytest.fixture
def kept(store: Store, keep: Keep, memory_file: Callable[[bytes], int]) -> Path:
    """The kept core of the newest crash."""
    keep(crash())
    compress_core(memory_file(CORE), store.kept_core(crash().id), lambda _: None)
    return store.kept_core(crash().id)


@pytest.mark.usefixtures("kept")
def test_a_core_is_written_to_a_file_that_only_its_owner_can_read(astbtd: Run, tmp_path: Path) -> None:
    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer == (0, "", "")
    assert (tmp_path / "core").read_bytes() == CORE
    assert (tmp_path / "core").stat().st_mode & 0o777 == 0o600


@pytest.mark.usefixtures("kept", "watched")
def test_progress_is_shown_on_a_terminal(astbtd: Run, tmp_path: Path) -> None:
    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer == (0, "", "\rdecompressing: 98K \r\x1b[K")


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("output", [[], ["--output", "-"]])
def test_a_core_is_written_to_standard_output(configuration: Path, output: list[str]) -> None:
    command = [sys.executable, "-m", "astbtd", "--config", str(configuration), "core", "latest", *output]

    assert subprocess.run(command, check=True, capture_output=True).stdout == CORE


@pytest.mark.usefixtures("kept")
def test_an_existing_file_is_not_overwritten(astbtd: Run, tmp_path: Path) -> None:
    (tmp_path / "core").write_text("mine")

    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer.code == 1
    assert "File exists" in answer.err
    assert (tmp_path / "core").read_text() == "mine"


@pytest.mark.usefixtures("kept")
def test_a_dangling_symbolic_link_is_not_followed(astbtd: Run, tmp_path: Path) -> None:
    (tmp_path / "core").symlink_to(tmp_path / "elsewhere")

    assert astbtd("core", "latest", "--output", tmp_path / "core").code == 1
    assert not (tmp_path / "elsewhere").exists()


def test_a_damaged_core_leaves_no_file(astbtd: Run, kept: Path, tmp_path: Path) -> None:
    kept.write_bytes(kept.read_bytes()[:-40])

    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer.code == 1
    assert "is damaged" in answer.err
    assert not (tmp_path / "core").exists()


def test_the_state_of_a_core_that_was_not_kept_is_reported(astbtd: Run, keep: Keep, tmp_path: Path) -> None:
    keep(crash(state=CoreState.LEFT))

    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer.code == 3
    assert "it was left" in answer.err
    assert "/srv/core" in answer.err
    assert not (tmp_path / "core").exists()


def test_an_id_is_required(astbtd: Run) -> None:
    assert astbtd("core").code == 2


@pytest.mark.usefixtures("kept")
def test_a_core_is_not_written_to_a_terminal(astbtd: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("_pytest.capture.CaptureIO.isatty", lambda _: True)

    answer = astbtd("core", "latest")

    assert answer.code == 2
    assert "refusing to write a core to a terminal\n" in answer.err
    assert f"astbtd core latest --output core.{crash().id}" in answer.err


def test_a_core_that_the_user_must_not_read_is_an_error(
    astbtd: Run, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_, **__: False)

    answer = astbtd("core", "latest")

    assert (answer.code, answer.out) == (1, "")
    assert f"permission denied reading {kept}" in answer.err


@pytest.fixture
def claim(store: Store) -> Claim:
    """Claim the core of a crash, as the daemon does that processes it. Return what releases the claim."""

    def claim(claimed: Crash) -> Callable[[], None]:
        record = ClaimRecord(
            CoreFacts(
                identity=claimed.core.identity,
                identity_from=claimed.core.identity_from,
                crashed_at=claimed.crashed_at,
                size=0,
                truncated=False,
                process=claimed.process,
                signal=claimed.signal,
                objects=(),
            ),
            "/srv",
            "core",
            DiscoveredBy.EVENT,
            inode=0,
            copied=True,
            foreign=bool(claimed.foreign),
        )
        claims = ClaimFiles(store.incoming)
        descriptor = claims.write(claimed.id, record)

        def release() -> None:
            claims.remove(claimed.id)
            os.close(descriptor)

        return release

    return claim


class Waiting:
    """Stands in for the clock of a command that waits: each time it sleeps, the daemon does its next step."""

    def __init__(self, *steps: Callable[[], object]) -> None:
        self._steps = list(steps)
        self._now = 0.0

    def monotonic(self) -> float:
        return self._now

    def sleep(self, _: float) -> None:
        self._now += 60
        if self._steps:
            self._steps.pop(0)()


def test_the_newest_core_is_awaited_while_it_is_being_processed(
    astbtd: Run, store: Store, keep: Keep, kept: Path, claim: Claim, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    newest = crash(5, identity="b" * 32)
    release = claim(newest)
    waiting = Waiting(lambda: keep(newest), lambda: shutil.copy(kept, store.kept_core(newest.id)), release)
    monkeypatch.setattr(pending_crash, "time", waiting)

    answer = astbtd("core", "latest", "--output", tmp_path / "core")

    assert answer == (0, "", "")
    assert (tmp_path / "core").read_bytes() == CORE
    assert waiting.monotonic() == 180


@pytest.mark.usefixtures("kept")
def test_a_core_that_is_being_compressed_is_awaited_by_its_id(
    astbtd: Run, claim: Claim, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    waiting = Waiting(claim(crash()))
    monkeypatch.setattr(pending_crash, "time", waiting)

    assert astbtd("core", crash().id, "--output", tmp_path / "core") == (0, "", "")
    assert waiting.monotonic() == 60


def test_the_wait_ends_if_the_crash_stays_in_the_queue(
    astbtd: Run, claim: Claim, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = claim(crash())
    monkeypatch.setattr(pending_crash, "time", Waiting())

    answer = astbtd("core", "latest")

    release()
    assert answer.code == 1
    assert f"crash {crash().id} is still being processed after 15 minutes" in answer.err
    assert "systemctl status astbtd" in answer.err


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("other", [crash(-5, identity="b" * 32), replace(crash(5, identity="b" * 32), foreign=True)])
def test_older_and_foreign_crashes_are_not_awaited(astbtd: Run, claim: Claim, tmp_path: Path, other: Crash) -> None:
    release = claim(other)

    assert astbtd("core", "latest", "--output", tmp_path / "core") == (0, "", "")
    release()


@pytest.mark.usefixtures("kept")
def test_a_claim_that_nobody_processes_is_not_awaited(astbtd: Run, store: Store, claim: Claim, tmp_path: Path) -> None:
    release = claim(crash(5, identity="b" * 32))
    left = next(store.incoming.glob("*.claim")).read_bytes()
    release()
    (store.incoming / f"{crash(5, identity='b' * 32).id}.claim").write_bytes(left)

    assert astbtd("core", "latest", "--output", tmp_path / "core") == (0, "", "")


@pytest.mark.usefixtures("kept")
def test_show_says_that_a_newer_crash_is_being_processed(astbtd: Run, claim: Claim) -> None:
    release = claim(crash(5, identity="b" * 32))

    answer = astbtd("show")

    release()
    assert answer.out == f"report of {crash().id}\n"
    assert answer.err == f"astbtd: crash {crash(5, identity='b' * 32).id} is newer, and is still being processed\n"
