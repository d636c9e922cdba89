"""`astbtd fsck`: explains what is wrong with a store, repairs what is safe, takes nothing that anybody could want."""

import json
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.claims.claim_file import ClaimFiles, ClaimRecord
from astbtd.lib import files
from astbtd.model.crash import CoreState, Crash, DiscoveredBy
from astbtd.pipeline.analysis import write_report
from astbtd.pipeline.components import readers
from astbtd.store.captures import Captures
from astbtd.store.core_archive import keep
from astbtd.store.store import Store
from tests.support.builders import NOON, crash, facts
from tests.unit.cli.conftest import NOBODY, Answer, Run

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
TEXT = b"#0  ast_bridge_join () at bridge.c:1\n"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """The store as the daemon makes it, for the group that reads it."""
    store = Store(tmp_path / "store", readers())
    store.prepare()
    return store


@pytest.fixture
def sound(store: Store) -> Crash:
    """A crash in whose store nothing is wrong."""
    return collected(store, crash())


def collected(store: Store, made: Crash) -> Crash:
    """A crash as the daemon leaves it, its core kept."""
    made = replace(made, extraction=replace(made.extraction, sections={"backtrace.txt": len(TEXT)}))
    staged = store.stage(made.id)
    files.write_new(staged / "backtrace.txt", TEXT, group=store.group)
    write_report(made, staged, store.group)
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
    assert "backtrace.txt, core.zst, report.txt can still be read there" in answer.out


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
    report = store.directory(sound.id) / "report.txt"
    report.unlink()
    report.symlink_to(foreign)

    answer = astbtd("fsck")

    assert answer.code == 1
    assert stat.S_IMODE(foreign.stat().st_mode) == 0o777 & ~0o022


def test_a_report_that_is_missing_is_made_anew(astbtd: Run, sound: Crash, store: Store) -> None:
    report = store.directory(sound.id) / "report.txt"
    before = report.read_text()
    report.unlink()

    repaired(astbtd)

    assert report.read_text() == before


def test_the_directories_of_the_store_get_their_modes_back(astbtd: Run, sound: Crash, store: Store) -> None:
    directories = (store.root, store.root / "crashes", store.incoming, store.directory(sound.id))
    for directory in directories:
        directory.chmod(0o777)

    repaired(astbtd)

    assert [stat.S_IMODE(directory.stat().st_mode) for directory in directories] == [0o750, 0o750, 0o700, 0o750]


def test_a_damaged_capture_is_said_and_its_files_are_closed_to_strangers(astbtd: Run, store: Store) -> None:
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
def test_what_belongs_to_others_is_given_back_to_root_and_to_the_readers(
    astbtd: Run, sound: Crash, store: Store
) -> None:
    files = [store.directory(sound.id) / name for name in ("crash.json", "core.zst")]
    for file in files:
        os.chown(file, NOBODY, NOBODY)

    repaired(astbtd)

    assert [file.stat().st_uid for file in files] == [0, 0]
    assert files[0].stat().st_gid == readers()


@needs_root
def test_a_record_that_was_put_right_can_still_be_read_by_the_group(astbtd: Run, sound: Crash, store: Store) -> None:
    store.kept_core(sound.id).unlink()

    repaired(astbtd)

    assert (store.directory(sound.id) / "crash.json").stat().st_gid == readers()


def test_what_is_no_identity_is_taken_out_of_the_list_of_them(astbtd: Run, sound: Crash, store: Store) -> None:
    with (store.root / "seen").open("ab") as seen:
        seen.write(b"\xff\xfe half\n")

    assert "1 entry in it is no identity of a core\n  repaired: taken out" in repaired(astbtd).out
    assert store.seen() == {sound.core.identity}


def test_a_note_that_was_never_completed_is_removed(astbtd: Run, store: Store) -> None:
    note = store.incoming / f"{crash(5).id}.claim"
    note.write_text("{")

    assert "never completed" in repaired(astbtd).out
    assert not note.exists()


@pytest.fixture
def spool(tmp_path: Path, configuration: Path) -> Path:
    """A directory that is watched."""
    directory = tmp_path / "spool"
    directory.mkdir()
    configuration.write_text(f"store: {tmp_path / 'store'}\nwatch: {{directories: [{directory}]}}\n")
    return directory


def noted(store: Store, spool: Path, *, copied: bool = False) -> ClaimRecord:
    """A claim that an earlier daemon left, of the core in the spool; the core's second name is for the test to make."""
    core = spool / "core"
    core.write_bytes(b"core")
    known = replace(facts(5), size=4)
    note = ClaimRecord(known, str(spool), "core", DiscoveredBy.EVENT, core.stat().st_ino, copied)
    os.close(ClaimFiles(store.incoming).write(known.crash_id, note))
    return note


def test_what_a_claim_will_be_resumed_with_stays(astbtd: Run, store: Store, spool: Path) -> None:
    claimed = noted(store, spool)
    os.link(spool / "core", spool / f".astbtd.{claimed.facts.crash_id}")
    staged = store.stage(claimed.facts.crash_id)

    assert nothing_left(astbtd)
    assert staged.exists()


@pytest.mark.parametrize("copied", [False, True])
def test_the_note_of_a_claim_that_holds_nothing_goes_but_that_of_a_lost_copy_is_for_the_daemon_to_record(
    astbtd: Run, store: Store, spool: Path, copied: bool
) -> None:
    claimed = noted(store, spool, copied=copied)

    assert astbtd("fsck").code == 0
    assert (store.incoming / f"{claimed.facts.crash_id}.claim").exists() is copied
    assert (spool / "core").exists()


def test_a_claim_in_a_directory_that_is_away_stays(astbtd: Run, store: Store, spool: Path) -> None:
    claimed = noted(store, spool)
    spool.rename(spool.with_name("away"))

    assert nothing_left(astbtd)
    assert (store.incoming / f"{claimed.facts.crash_id}.claim").exists()


@pytest.mark.usefixtures("store")
def test_a_second_name_without_a_claim_is_removed_so_that_the_core_is_collected(astbtd: Run, spool: Path) -> None:
    (spool / "core").write_bytes(b"core")
    os.link(spool / "core", spool / f".astbtd.{crash(5).id}")

    assert "because of it the core is left alone" in repaired(astbtd).out
    assert os.listdir(spool) == ["core"]


def test_the_last_name_of_a_core_that_is_in_the_store_is_removed(astbtd: Run, sound: Crash, spool: Path) -> None:
    (spool / f".astbtd.{sound.id}.aside").write_bytes(b"core")

    repaired(astbtd)

    assert os.listdir(spool) == []


@pytest.mark.usefixtures("store")
def test_the_last_name_of_a_core_that_is_nowhere_else_is_said_and_left(astbtd: Run, spool: Path) -> None:
    (spool / f".astbtd.{crash(5).id}").write_bytes(b"core")

    answer = astbtd("fsck")

    assert (answer.code, len(os.listdir(spool))) == (1, 1)
    assert "the only name of a core" in answer.out


@pytest.mark.usefixtures("store")
def test_what_claims_left_is_not_judged_by_another_store_than_the_configured(astbtd: Run, spool: Path) -> None:
    (spool / "core").write_bytes(b"core")
    os.link(spool / "core", spool / f".astbtd.{crash(5).id}")

    assert astbtd("fsck", "--store", spool.parent / "store").code == 0
    assert len(os.listdir(spool)) == 2


def test_a_directory_in_the_place_of_latest_does_not_keep_the_rest_from_being_repaired(
    astbtd: Run, sound: Crash, store: Store
) -> None:
    (store.root / "latest").unlink()
    (store.root / "latest").mkdir()
    (store.root / "seen").unlink()

    answer = astbtd("fsck")

    assert answer.code == 1
    assert "left: cannot be repaired: Is a directory" in answer.out
    assert store.seen() == {sound.core.identity}


def test_where_there_is_no_store_it_says_so(astbtd: Run, tmp_path: Path) -> None:
    answer = astbtd("fsck", "--store", tmp_path / "nowhere")

    assert (answer.code, answer.out) == (1, "")
    assert f"there is no store at {tmp_path / 'nowhere'}" in answer.err


def test_staging_is_listed_no_oftener_for_many_crashes_than_for_one(
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
            assert nothing_left(astbtd)
        return len(lists)

    collected(store, crash(1, identity=f"{1:032x}", signature="a" * 12))
    of_one = listings()
    for number in range(2, 8):
        collected(store, crash(number, identity=f"{number:032x}", signature=f"{number:012x}"))

    assert listings() == of_one


@pytest.mark.usefixtures("plain_user")
def test_whoever_may_only_read_hears_what_can_be_seen(astbtd: Run) -> None:
    answer = astbtd("fsck")

    assert "only root can" in answer.err
    assert "Permission denied" not in answer.out + answer.err


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
