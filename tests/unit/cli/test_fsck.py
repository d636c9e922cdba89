"""`astbtd fsck`: explains what is wrong with a store, repairs what is safe, takes nothing that anybody could want."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd import durable
from astbtd.archive.keep import keep
from astbtd.archive.store import Store
from astbtd.model import CoreState, Crash
from tests.builders import NOON, crash
from tests.unit.cli.conftest import Answer, Run

TEXT = b"#0  ast_bridge_join () at bridge.c:1\n"


@pytest.fixture
def sound(store: Store) -> Crash:
    """A crash in whose store nothing is wrong."""
    return collected(store, crash())


def collected(store: Store, made: Crash) -> Crash:
    """A crash as the daemon leaves it, its core kept."""
    made = replace(made, extraction=replace(made.extraction, sections={"backtrace.txt": len(TEXT)}))
    staged = store.stage(made.id)
    durable.write_new(staged / "backtrace.txt", TEXT)
    directory = store.commit(staged, made)
    core = os.memfd_create("core")
    os.write(core, b"core" * 4096)
    keep(core, directory / "core.zst", lambda _: None)
    os.close(core)
    store.mark_seen(made.core.identity)
    store.point_latest()
    return made


def nothing_left(astbtd: Run) -> bool:
    return astbtd("fsck").out.endswith("; nothing is wrong\n")


def repaired(astbtd: Run) -> Answer:
    """The answer of a run that repairs all that is wrong."""
    answer = astbtd("fsck")
    assert (answer.code, nothing_left(astbtd)) == (0, True), answer.out
    return answer


@pytest.mark.usefixtures("sound")
def test_nothing_is_wrong_with_what_the_daemon_leaves(astbtd: Run, store: Store) -> None:
    answer = astbtd("fsck")

    assert answer.code == 0
    assert answer.out == f"{store.root}: 1 crash examined; nothing is wrong\n"


@pytest.mark.usefixtures("store")
def test_nothing_is_wrong_with_an_empty_store(astbtd: Run) -> None:
    assert nothing_left(astbtd)


@pytest.mark.usefixtures("sound")
def test_what_a_kill_left_in_staging_is_removed(astbtd: Run, store: Store) -> None:
    left = store.stage(crash(5).id)

    answer = repaired(astbtd)

    assert f"{left}: it was being made, or removed, when astbtd was killed\n  repaired: removed\n" in answer.out
    assert not left.exists()


@pytest.mark.usefixtures("sound")
def test_what_a_claim_will_be_resumed_with_stays(astbtd: Run, store: Store) -> None:
    staged = store.stage(crash(5).id)
    (store.incoming / f"{crash(5).id}.claim").touch()

    assert nothing_left(astbtd)
    assert staged.exists()


def test_a_file_that_was_half_written_is_removed(astbtd: Run, sound: Crash, store: Store) -> None:
    half = store.directory(sound.id) / ".core.zst.new"
    half.write_bytes(b"half")

    repaired(astbtd)

    assert not half.exists()


def test_latest_is_put_right(astbtd: Run, sound: Crash, store: Store) -> None:
    (store.root / "latest").unlink()
    (store.root / "latest").symlink_to("crashes/nowhere")

    repaired(astbtd)

    assert (store.root / "latest").readlink() == Path("crashes") / sound.id


def test_a_forgotten_identity_is_remembered(astbtd: Run, sound: Crash, store: Store) -> None:
    (store.root / "seen").unlink()

    repaired(astbtd)

    assert store.seen() == {sound.core.identity}


def test_occurrences_are_numbered_by_crash_time(astbtd: Run, store: Store) -> None:
    for minutes in (1, 2, 3):
        collected(store, crash(minutes, pid=minutes, identity=f"{minutes:032x}"))

    assert "misnumbered" in repaired(astbtd).out
    assert [each.signature.occurrence for each in store.crashes()] == [3, 2, 1]


def test_files_that_strangers_could_read_are_closed_to_them(astbtd: Run, sound: Crash, store: Store) -> None:
    core, text = store.kept_core(sound.id), store.directory(sound.id) / "backtrace.txt"
    core.chmod(0o644)
    text.chmod(0o666)

    repaired(astbtd)

    assert [stat.S_IMODE(path.stat().st_mode) for path in (core, text)] == [0o600, 0o640]


def test_a_kept_core_that_is_gone_is_recorded_as_lost(astbtd: Run, sound: Crash, store: Store) -> None:
    store.kept_core(sound.id).unlink()

    repaired(astbtd)

    assert store.load(sound.id).core.state is CoreState.LOST


def test_a_core_that_is_there_after_all_is_recorded_as_kept(astbtd: Run, sound: Crash, store: Store) -> None:
    store.change(sound.id, lambda crash: replace(crash, core=replace(crash.core, state=CoreState.LOST)))

    repaired(astbtd)

    assert store.load(sound.id).core.state is CoreState.KEPT


def test_a_removal_that_was_interrupted_is_finished(astbtd: Run, sound: Crash, store: Store) -> None:
    removed = replace(sound.core, state=CoreState.REMOVED)
    store.change(sound.id, lambda crash: replace(crash, core=removed, texts_removed_at=NOON))

    repaired(astbtd)

    assert os.listdir(store.directory(sound.id)) == ["crash.json"]


def test_a_damaged_core_is_said_and_left(astbtd: Run, sound: Crash, store: Store) -> None:
    core = store.kept_core(sound.id)
    os.truncate(core, core.stat().st_size // 2)

    answer = astbtd("fsck")

    assert (answer.code, core.exists()) == (1, True)
    assert "is damaged" in answer.out


def test_a_quick_run_does_not_read_cores(astbtd: Run, sound: Crash, store: Store) -> None:
    os.truncate(store.kept_core(sound.id), 10)

    assert astbtd("fsck", "--quick").code == 0


def test_a_text_that_was_cut_is_said_with_the_way_to_make_it_anew(astbtd: Run, sound: Crash, store: Store) -> None:
    text = store.directory(sound.id) / "backtrace.txt"
    os.truncate(text, 5)

    answer = astbtd("fsck")

    assert answer.code == 1
    assert f"{text}: it has 5 bytes, the record says {len(TEXT)}" in answer.out
    assert f"astbtd core {sound.id} --output CORE; astbtd extract --output DIRECTORY CORE" in answer.out


def test_a_damaged_record_is_said_and_its_texts_stay(astbtd: Run, sound: Crash, store: Store) -> None:
    (store.directory(sound.id) / "crash.json").write_text("{")

    answer = astbtd("fsck")

    assert answer.code == 1
    assert "is damaged" in answer.out
    assert "backtrace.txt, core.zst can still be read there" in answer.out


@pytest.mark.parametrize("name", ["crashes/readme", f"crashes/{crash().id}/notes.txt"])
@pytest.mark.usefixtures("sound")
def test_what_astbtd_did_not_make_is_said_and_left(astbtd: Run, store: Store, name: str) -> None:
    (store.root / name).touch(mode=0o640)

    answer = astbtd("fsck")

    assert (answer.code, (store.root / name).exists()) == (1, True)
    assert name in answer.out


def test_a_symbolic_link_among_the_texts_is_not_followed(
    astbtd: Run, sound: Crash, store: Store, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign"
    foreign.touch(mode=0o777)
    (store.directory(sound.id) / "report.txt").symlink_to(foreign)

    answer = astbtd("fsck")

    assert answer.code == 1
    assert stat.S_IMODE(foreign.stat().st_mode) == 0o777 & ~0o022


@pytest.mark.usefixtures("sound")
def test_a_dry_run_repairs_nothing(astbtd: Run, store: Store) -> None:
    (store.root / "seen").unlink()

    answer = astbtd("fsck", "--dry-run")

    assert (answer.code, store.seen()) == (1, set())
    assert "left: can be repaired: added" in answer.out


@pytest.mark.usefixtures("sound")
def test_nothing_is_repaired_beside_a_running_daemon(astbtd: Run, store: Store) -> None:
    (store.root / "seen").unlink()

    with store.lock():
        answer = astbtd("fsck")

    assert (answer.code, store.seen()) == (1, set())
    assert "systemctl stop astbtd" in answer.err


@pytest.mark.usefixtures("sound")
def test_as_json_it_is_one_object(astbtd: Run, store: Store) -> None:
    (store.root / "seen").unlink()

    found = json.loads(astbtd("fsck", "--json").out)

    assert found["repaired"] == 1
    assert [sorted(finding) for finding in found["findings"]] == [["path", "problem", "remedy", "repaired"]]
