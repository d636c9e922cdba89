"""`astbtd fsck`: explains problems of a store, repairs what is safe, and removes nothing of value."""

import json
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.claims.claim_file import ClaimFiles, ClaimRecord
from astbtd.diagnosis.advice import EXTRACT_AGAIN
from astbtd.lib import files
from astbtd.model.crash import REPORT_FILE, CoreState, Crash, DiscoveredBy
from astbtd.pipeline.configured_extractor import reader_group
from astbtd.pipeline.crash_report import write_report
from astbtd.store.captures import Captures
from astbtd.store.core_archive import compress_core
from astbtd.store.kept_objects import KeptObjects
from astbtd.store.store import Store
from tests.support.builders import NOON, crash, facts, program, signature_of
from tests.support.cli_types import NOBODY, Answer, Run

needs_root = pytest.mark.root
TEXT = b"#0  ast_bridge_join () at bridge.c:1\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store as the daemon makes it, with the group of its readers."""
    store = Store(tmp_path / "store", reader_group())
    store.prepare()
    return store


@pytest.fixture
def sound(store: Store) -> Crash:
    """A crash in a store without problems."""
    return collected(store, crash())


def collected(store: Store, made: Crash) -> Crash:
    """Store a crash as the daemon does, with its core, and return its record."""
    made = replace(made, extraction=replace(made.extraction, sections={"backtrace.txt": len(TEXT)}))
    staged = store.stage(made.id)
    files.write_new(staged / "backtrace.txt", TEXT, group=store.group)
    write_report(made, staged, store.group)
    directory = store.commit(staged, made)
    core = os.memfd_create("core")
    os.write(core, b"core" * 4096)
    compress_core(core, directory / "core.zst", lambda _: None)
    os.close(core)
    store.collected.add(made.core.identity)
    store.update_latest()
    return made


def no_problems(astbtd: Run) -> bool:
    return astbtd("fsck").out.endswith("; no problems found\n")


def repair_all(astbtd: Run) -> Answer:
    """Run fsck, check that it repairs all problems, and return its answer."""
    answer = astbtd("fsck")
    assert (answer.code, no_problems(astbtd)) == (0, True), answer.out
    return answer


@pytest.mark.usefixtures("sound")
def test_a_store_made_by_the_daemon_has_no_problems(astbtd: Run, store: Store) -> None:
    answer = astbtd("fsck")

    assert answer.code == 0
    assert answer.out == f"{store.root}: 1 crash checked; no problems found\n"


@pytest.mark.usefixtures("store")
def test_an_empty_store_has_no_problems(astbtd: Run) -> None:
    assert no_problems(astbtd)


@pytest.mark.usefixtures("sound")
def test_leftovers_of_a_killed_daemon_in_staging_are_removed(astbtd: Run, store: Store) -> None:
    left = store.stage(crash(5).id)

    answer = repair_all(astbtd)

    assert f"{left}: it was being made or removed when astbtd was killed\n  repaired: removed\n" in answer.out
    assert not left.exists()


def test_a_half_written_file_is_removed(astbtd: Run, sound: Crash, store: Store) -> None:
    half = store.directory(sound.id) / ".core.zst.new"
    half.write_bytes(b"half")

    repair_all(astbtd)

    assert not half.exists()


def test_a_wrong_latest_link_is_corrected(astbtd: Run, sound: Crash, store: Store) -> None:
    (store.root / "latest").unlink()
    (store.root / "latest").symlink_to("crashes/nowhere")

    repair_all(astbtd)

    assert (store.root / "latest").readlink() == Path("crashes") / sound.id


def test_a_missing_identity_is_added(astbtd: Run, sound: Crash, store: Store) -> None:
    (store.root / "seen").unlink()

    repair_all(astbtd)

    assert store.collected.all() == {sound.core.identity}


def test_wrong_occurrence_numbers_are_corrected(astbtd: Run, store: Store) -> None:
    for minutes in (1, 2, 3):
        collected(store, crash(minutes, pid=minutes, identity=f"{minutes:032x}"))

    assert "occurrence numbers" in repair_all(astbtd).out
    assert [signature_of(each).occurrence for each in store.crashes()] == [3, 2, 1]


def test_files_readable_by_other_users_get_their_modes_back(astbtd: Run, sound: Crash, store: Store) -> None:
    core, text = store.kept_core(sound.id), store.directory(sound.id) / "backtrace.txt"
    core.chmod(0o644)
    text.chmod(0o666)

    repair_all(astbtd)

    assert [stat.S_IMODE(path.stat().st_mode) for path in (core, text)] == [0o600, 0o640]


def test_a_missing_kept_core_is_recorded_as_lost(astbtd: Run, sound: Crash, store: Store) -> None:
    store.kept_core(sound.id).unlink()

    repair_all(astbtd)

    assert store.load(sound.id).core.state is CoreState.LOST


def test_an_existing_core_recorded_as_lost_is_recorded_as_kept(astbtd: Run, sound: Crash, store: Store) -> None:
    store.change(sound.id, lambda crash: replace(crash, core=replace(crash.core, state=CoreState.LOST)))

    repair_all(astbtd)

    assert store.load(sound.id).core.state is CoreState.KEPT


def test_an_interrupted_removal_is_finished(astbtd: Run, sound: Crash, store: Store) -> None:
    removed = replace(sound.core, state=CoreState.REMOVED)
    store.change(sound.id, lambda crash: replace(crash, core=removed, texts_removed_at=NOON))

    repair_all(astbtd)

    assert os.listdir(store.directory(sound.id)) == ["crash.json"]


@pytest.mark.parametrize("missing", [1, 4, 20])
def test_a_core_without_its_last_bytes_is_reported_and_not_removed(
    astbtd: Run, sound: Crash, store: Store, missing: int
) -> None:
    core = store.kept_core(sound.id)
    os.truncate(core, core.stat().st_size - missing)

    answer = astbtd("fsck")

    assert (answer.code, core.exists()) == (1, True)
    assert "is damaged" in answer.out


def test_a_quick_run_does_not_read_cores_to_their_ends(astbtd: Run, sound: Crash, store: Store) -> None:
    kept, core = store.kept_core(sound.id), os.memfd_create("core")
    os.write(core, os.urandom(4 << 20))
    kept.unlink()
    compress_core(core, kept, lambda _: None)
    os.close(core)
    os.truncate(kept, 3 << 20)

    assert astbtd("fsck", "--quick").code == 0
    assert "is damaged" in astbtd("fsck").out


def test_a_quick_run_reports_a_core_without_a_beginning(astbtd: Run, sound: Crash, store: Store) -> None:
    store.kept_core(sound.id).write_bytes(bytes(5000))

    answer = astbtd("fsck", "--quick")

    assert (answer.code, "is damaged" in answer.out) == (1, True)


@pytest.mark.parametrize("damage", [Path.unlink, lambda core: os.truncate(core, 0)], ids=["missing", "empty"])
def test_a_core_that_is_missing_or_empty_leaves_no_advice_to_read_it(
    astbtd: Run, store: Store, damage: Callable[[Path], None]
) -> None:
    plain = crash()
    made = collected(store, replace(plain, diagnosis=replace(plain.diagnosis, advice=(f"{EXTRACT_AGAIN}.",))))
    report = store.directory(made.id) / REPORT_FILE
    assert "astbtd extract" in report.read_text()
    damage(store.kept_core(made.id))

    astbtd("fsck")

    assert store.load(made.id).core.state is CoreState.LOST
    assert store.load(made.id).diagnosis.advice == ()
    assert "astbtd extract" not in report.read_text()


@pytest.mark.parametrize("state", [CoreState.KEPT, CoreState.LOST])
def test_an_empty_core_is_recorded_as_lost_by_a_quick_run(
    astbtd: Run, sound: Crash, store: Store, state: CoreState
) -> None:
    store.change(sound.id, lambda crash: replace(crash, core=replace(crash.core, state=state)))
    os.truncate(store.kept_core(sound.id), 0)

    assert "the kept core is empty" in astbtd("fsck", "--quick").out

    assert (store.load(sound.id).core.state, store.has_core(sound.id)) == (CoreState.LOST, False)
    assert no_problems(astbtd)


def test_a_truncated_text_is_reported_with_commands_to_restore_it(astbtd: Run, sound: Crash, store: Store) -> None:
    text = store.directory(sound.id) / "backtrace.txt"
    os.truncate(text, 5)

    answer = astbtd("fsck")

    assert answer.code == 1
    assert f"{text}: it has 5 bytes instead of {len(TEXT)}" in answer.out
    assert f"not repaired: astbtd extract {sound.id}\n" in answer.out


def test_a_damaged_record_is_reported_and_its_texts_are_kept(astbtd: Run, sound: Crash, store: Store) -> None:
    (store.directory(sound.id) / "crash.json").write_text("{")

    answer = astbtd("fsck")

    assert answer.code == 1
    assert "is damaged" in answer.out
    assert "backtrace.txt, core.zst, report.txt can still be read there" in answer.out


@pytest.mark.parametrize("name", ["crashes/readme", f"crashes/{crash().id}/notes.txt"])
@pytest.mark.usefixtures("sound")
def test_unknown_files_are_reported_and_not_removed(astbtd: Run, store: Store, name: str) -> None:
    (store.root / name).touch(mode=0o640)

    answer = astbtd("fsck")

    assert (answer.code, (store.root / name).exists()) == (1, True)
    assert name in answer.out


def test_a_symbolic_link_among_the_texts_is_not_followed(
    astbtd: Run, sound: Crash, store: Store, tmp_path: Path
) -> None:
    foreign = tmp_path / "foreign"
    foreign.touch(mode=0o777)
    report = store.directory(sound.id) / "report.txt"
    report.unlink()
    report.symlink_to(foreign)

    answer = astbtd("fsck")

    assert answer.code == 1
    assert stat.S_IMODE(foreign.stat().st_mode) == 0o777 & ~0o022


def test_a_missing_report_is_written_again(astbtd: Run, sound: Crash, store: Store) -> None:
    report = store.directory(sound.id) / "report.txt"
    before = report.read_text()
    report.unlink()

    repair_all(astbtd)

    assert report.read_text() == before


def test_the_directories_of_the_store_get_their_modes_back(astbtd: Run, sound: Crash, store: Store) -> None:
    directories = (store.root, store.root / "crashes", store.incoming, store.directory(sound.id))
    for directory in directories:
        directory.chmod(0o777)

    repair_all(astbtd)

    assert [stat.S_IMODE(directory.stat().st_mode) for directory in directories] == [0o750, 0o750, 0o700, 0o750]


def test_a_damaged_capture_is_reported_and_its_files_get_their_modes_back(astbtd: Run, store: Store) -> None:
    captures = Captures(store.root, store.group)
    captures.prepare()
    directory = captures.stage(crash(7).id).rename(captures.directory(crash(7).id))
    report = directory / "report.txt"
    report.touch()
    report.chmod(0o644)

    answer = astbtd("fsck")

    assert answer.code == 1
    assert f"the record of capture {crash(7).id} is damaged" in answer.out
    assert stat.S_IMODE(report.stat().st_mode) == 0o640


@needs_root
def test_a_wrong_owner_and_group_are_corrected(astbtd: Run, sound: Crash, store: Store) -> None:
    files = [store.directory(sound.id) / name for name in ("crash.json", "core.zst")]
    for file in files:
        os.chown(file, NOBODY, NOBODY)

    repair_all(astbtd)

    assert [file.stat().st_uid for file in files] == [0, 0]
    assert files[0].stat().st_gid == reader_group()


@needs_root
def test_a_corrected_record_keeps_the_group_of_the_readers(astbtd: Run, sound: Crash, store: Store) -> None:
    store.kept_core(sound.id).unlink()

    repair_all(astbtd)

    assert (store.directory(sound.id) / "crash.json").stat().st_gid == reader_group()


def test_an_invalid_line_is_removed_from_the_list_of_identities(astbtd: Run, sound: Crash, store: Store) -> None:
    with (store.root / "seen").open("ab") as seen:
        seen.write(b"\xff\xfe half\n")

    assert "it has 1 invalid line\n  repaired: removed from it" in repair_all(astbtd).out
    assert store.collected.all() == {sound.core.identity}


def test_an_incomplete_claim_file_is_removed(astbtd: Run, store: Store) -> None:
    note = store.incoming / f"{crash(5).id}.claim"
    note.write_text("{")

    assert "never completed" in repair_all(astbtd).out
    assert not note.exists()


@pytest.fixture
def spool(tmp_path: Path, configuration: Path) -> Path:
    """A watched directory."""
    directory = tmp_path / "spool"
    directory.mkdir()
    configuration.write_text(f"store: {tmp_path / 'store'}\nwatch: {{directories: [{directory}]}}\n")
    return directory


def write_claim(store: Store, spool: Path, *, copied: bool = False) -> ClaimRecord:
    """Write the claim file of an earlier daemon for a core in the spool. The test makes the hard link of the claim."""
    core = spool / "core"
    core.write_bytes(b"core")
    known = replace(facts(5), size=4)
    claim = ClaimRecord(known, str(spool), "core", DiscoveredBy.EVENT, core.stat().st_ino, copied)
    os.close(ClaimFiles(store.incoming).write(known.crash_id, claim))
    return claim


def test_files_of_a_claim_that_can_be_resumed_are_kept(astbtd: Run, store: Store, spool: Path) -> None:
    claimed = write_claim(store, spool)
    os.link(spool / "core", spool / f".astbtd.{claimed.facts.crash_id}")
    staged = store.stage(claimed.facts.crash_id)

    assert no_problems(astbtd)
    assert staged.exists()


@pytest.mark.parametrize("copied", [False, True])
def test_a_claim_file_without_a_core_is_removed_unless_the_daemon_must_record_a_lost_copy(
    astbtd: Run, store: Store, spool: Path, copied: bool
) -> None:
    claimed = write_claim(store, spool, copied=copied)

    assert astbtd("fsck").code == 0
    assert (store.incoming / f"{claimed.facts.crash_id}.claim").exists() is copied
    assert (spool / "core").exists()


def test_a_claim_in_an_unmounted_directory_is_kept(astbtd: Run, store: Store, spool: Path) -> None:
    claimed = write_claim(store, spool)
    spool.rename(spool.with_name("away"))

    assert no_problems(astbtd)
    assert (store.incoming / f"{claimed.facts.crash_id}.claim").exists()


@pytest.mark.usefixtures("store")
def test_a_hard_link_without_a_claim_is_removed_so_that_the_core_is_collected(astbtd: Run, spool: Path) -> None:
    (spool / "core").write_bytes(b"core")
    os.link(spool / "core", spool / f".astbtd.{crash(5).id}")

    assert "because of it the core is not collected" in repair_all(astbtd).out
    assert os.listdir(spool) == ["core"]


def test_the_last_name_of_a_stored_core_is_removed(astbtd: Run, sound: Crash, spool: Path) -> None:
    (spool / f".astbtd.{sound.id}.aside").write_bytes(b"core")

    repair_all(astbtd)

    assert os.listdir(spool) == []


@pytest.mark.usefixtures("store")
def test_the_only_name_of_a_core_is_reported_and_not_removed(astbtd: Run, spool: Path) -> None:
    (spool / f".astbtd.{crash(5).id}").write_bytes(b"core")

    answer = astbtd("fsck")

    assert (answer.code, len(os.listdir(spool))) == (1, 1)
    assert "the only name of a core" in answer.out


@pytest.mark.usefixtures("store")
def test_hard_links_are_not_checked_against_a_store_other_than_the_configured_one(astbtd: Run, spool: Path) -> None:
    (spool / "core").write_bytes(b"core")
    os.link(spool / "core", spool / f".astbtd.{crash(5).id}")

    assert astbtd("fsck", "--store", spool.parent / "store").code == 0
    assert len(os.listdir(spool)) == 2


def test_a_failed_repair_does_not_prevent_the_others(astbtd: Run, sound: Crash, store: Store) -> None:
    (store.root / "latest").unlink()
    (store.root / "latest").mkdir()
    (store.root / "seen").unlink()

    answer = astbtd("fsck")

    assert answer.code == 1
    assert "not repaired: cannot be repaired: Is a directory" in answer.out
    assert store.collected.all() == {sound.core.identity}


def test_a_missing_store_is_reported(astbtd: Run, tmp_path: Path) -> None:
    answer = astbtd("fsck", "--store", tmp_path / "nowhere")

    assert (answer.code, answer.out) == (1, "")
    assert f"there is no store at {tmp_path / 'nowhere'}" in answer.err


def test_staging_is_listed_as_often_for_many_crashes_as_for_one(
    astbtd: Run, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def listings() -> int:
        lists: list[Path] = []
        listing = ClaimFiles.ids

        def listed(notes: ClaimFiles) -> Iterator[str]:
            lists.append(notes.incoming)
            return listing(notes)

        with monkeypatch.context() as patched:
            patched.setattr(ClaimFiles, "ids", listed)
            assert no_problems(astbtd)
        return len(lists)

    collected(store, crash(1, identity=f"{1:032x}", signature="a" * 12))
    of_one = listings()
    for number in range(2, 8):
        collected(store, crash(number, identity=f"{number:032x}", signature=f"{number:012x}"))

    assert listings() == of_one


@pytest.mark.usefixtures("plain_user")
def test_a_reader_gets_a_read_only_check(astbtd: Run) -> None:
    answer = astbtd("fsck")

    assert (
        "astbtd: read-only check: cannot lock the store: Permission denied (repair as root: sudo astbtd fsck)"
        in answer.err
    )
    assert "Permission denied" not in answer.out


@pytest.mark.usefixtures("sound")
def test_a_dry_run_repairs_nothing(astbtd: Run, store: Store) -> None:
    (store.root / "seen").unlink()

    answer = astbtd("fsck", "--dry-run")

    assert (answer.code, store.collected.all()) == (1, set())
    assert "not repaired: can be repaired: added" in answer.out


@pytest.mark.usefixtures("sound")
def test_nothing_is_repaired_while_a_daemon_is_running(astbtd: Run, store: Store) -> None:
    (store.root / "seen").unlink()

    with store.lock():
        answer = astbtd("fsck")

    assert (answer.code, store.collected.all()) == (1, set())
    assert answer.err == (
        "astbtd: read-only check: the daemon is running (stop it first to repair: systemctl stop astbtd)\n"
    )


@pytest.mark.usefixtures("sound")
def test_json_output_is_one_object(astbtd: Run, store: Store) -> None:
    (store.root / "seen").unlink()

    found = json.loads(astbtd("fsck", "--json").out)

    assert found["repaired"] == 1
    assert [sorted(finding) for finding in found["findings"]] == [["path", "problem", "remedy", "repaired"]]


def keep_object(store: Store) -> Path:
    """Keep an object, and return its path."""
    source = store.root.with_name("app_dial.so")
    source.write_bytes(program())
    kept = KeptObjects(store.root, store.group)
    with source.open("rb") as file:
        build_id, _ = kept.add(file.fileno())
    return kept.path(build_id)


@pytest.mark.usefixtures("sound")
def test_a_damaged_kept_object_is_removed(astbtd: Run, store: Store) -> None:
    path = keep_object(store)
    assert no_problems(astbtd)
    path.write_bytes(b"not compressed")

    answer = astbtd("fsck")

    assert "is damaged" in answer.out
    assert "repaired: removed: an object is copied again when it is mapped" in answer.out
    assert not path.exists()
    assert no_problems(astbtd)


@pytest.mark.usefixtures("sound")
def test_what_is_left_of_an_interrupted_copy_of_an_object_is_removed(astbtd: Run, store: Store) -> None:
    left = files.temporary_path(keep_object(store))
    left.touch(mode=files.FILE_MODE)

    assert "it was being written when astbtd was killed" in astbtd("fsck").out
    assert not left.exists()


@pytest.mark.usefixtures("sound")
def test_an_unknown_file_among_the_objects_is_reported(astbtd: Run, store: Store) -> None:
    stray = keep_object(store).with_name("stray")
    stray.touch()
    stray.chmod(files.FILE_MODE)

    assert f"{stray}: astbtd makes no such file" in astbtd("fsck").out
    assert stray.exists()
