"""The finder claims each core once, waits for cores that are still being written, and detects renamed and lost ones."""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from astbtd.asterisk.identity import PbxIdentity
from astbtd.claims.claim import AlreadyClaimed, Claim, Claims
from astbtd.claims.core_filter import RefusedFile
from astbtd.claims.finder import CoreRenamed
from astbtd.elf.core_notes import file_identity
from astbtd.errors import AstbtdError
from astbtd.model.crash import CoreAction, CoreFacts, DiscoveredBy
from astbtd.sources import core_pattern
from astbtd.sources.collectors.systemd_coredump import SystemdCoredump
from astbtd.sources.watched_directories import WatchedDirectory
from tests.support.builders import DeadProcess
from tests.support.finding import Queue, make_claims, make_finder
from tests.support.fixture_types import Dump
from tests.support.packed import COMPRESS


@dataclass
class Search:
    """A finder for one directory, and what it has reported."""

    claims: Claims
    directory: WatchedDirectory
    action: CoreAction = CoreAction.MOVE
    queue: Queue = field(default_factory=Queue)
    collected: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.finder = make_finder(self.claims, self.queue, self.action, self.collected.intersection)

    def examine(self, name: str, found: DiscoveredBy = DiscoveredBy.EVENT) -> list[Claim]:
        """Examine a directory entry and return the new claims."""
        return self.queue.add(self.finder.examine_entry(self.directory, name, found))

    def scan(self) -> list[Claim]:
        """Examine all entries and return the new claims."""
        names = os.listdir(self.directory.directory)
        return [claim for name in names for claim in self.examine(name, DiscoveredBy.SCAN)]

    def claim_one(self, name: str) -> Claim:
        """Examine a directory entry that is one core to claim."""
        (claim,) = self.examine(name)
        return claim

    def facts(self, name: str) -> CoreFacts:
        return self.claim_one(name).record.facts

    def resume(self) -> list[Claim]:
        """Resume the claims of an earlier process."""
        return self.queue.add(self.finder.resume_claims(lambda _: True))

    def close(self) -> None:
        self.finder.incomplete.close()
        self.queue.close()


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return make_claims(tmp_path)


Searching = Callable[..., Search]


@pytest.fixture
def searching(claims: Claims, spool: Path) -> Iterator[Searching]:
    """Makes searches of the spool, which are closed at the end."""
    made: list[Search] = []

    def make(action: CoreAction = CoreAction.MOVE, **directory: object) -> Search:
        search = Search(claims, WatchedDirectory(str(spool), **directory), action)  # type: ignore[arg-type]
        made.append(search)
        return search

    yield make
    for search in made:
        search.close()


@pytest.fixture
def search(searching: Searching) -> Search:
    """A search of the spool."""
    return searching()


def test_a_core_is_claimed_once_even_if_it_is_examined_again(search: Search, dump: Dump) -> None:
    dump()

    assert len(search.examine("core")) == 1
    assert search.examine("core") == search.scan() == []
    assert search.queue.renamed == []


def test_a_core_that_was_collected_before_is_not_claimed(search: Search, dump: Dump) -> None:
    dump()
    search.collected.add(search.facts("core").identity)
    (Path(search.directory.directory) / "again").write_bytes(DeadProcess().core())

    assert search.examine("again") == []


def test_a_refused_file_is_reported_once_for_each_version(search: Search, dump: Dump) -> None:
    path = dump(DeadProcess(mapped=("/usr/bin/perl",)))
    refused = RefusedFile(str(path), "it is a core of /usr/bin/perl, not of Asterisk")

    search.examine("core")
    search.examine("core")
    search.finder.update_settings(search.claims, ("asterisk",), CoreAction.MOVE)
    search.examine("core")
    assert search.queue.refused == [refused]

    os.utime(path, (0, 0))
    search.examine("core")
    assert search.queue.refused == [refused, refused]


@pytest.mark.parametrize("known", [True, False])
def test_only_a_core_of_a_user_of_the_pbx_can_have_replaced_that_of_the_pbx(
    search: Search, dump: Dump, known: bool
) -> None:
    path = dump(DeadProcess(mapped=("/usr/sbin/astcanary",)))
    search.finder.identity = PbxIdentity(frozenset((path.stat().st_uid,) if known else ()))

    search.examine("core")

    (refused,) = search.queue.refused
    assert (refused.other is not None) is known
    if refused.other:
        assert (refused.other.path, refused.other.program) == (str(path), "/usr/sbin/astcanary")


def test_new_settings_apply_to_files_that_were_refused_before(search: Search, dump: Dump) -> None:
    dump(DeadProcess(mapped=("/opt/pbxd",)))
    assert search.examine("core") == []

    search.finder.update_settings(search.claims, ("pbxd",), CoreAction.LEAVE)

    assert search.claim_one("core").record.copied


def test_a_core_that_is_being_written_is_held_open_and_claimed_when_it_is_complete(search: Search, dump: Dump) -> None:
    path = dump()
    with path.open("ab"):
        assert search.examine("core") == []
        assert [core.path for core in search.finder.incomplete.all()] == [str(path)]

    (core,) = search.finder.incomplete.all()
    claimed = search.queue.add(search.finder.recheck(core))

    assert len(claimed) == 1
    assert not search.finder.incomplete


def test_a_core_that_is_still_being_written_when_rechecked_stays_incomplete(search: Search, dump: Dump) -> None:
    with dump().open("ab"):
        search.examine("core")
        (core,) = search.finder.incomplete.all()

        assert search.queue.add(search.finder.recheck(core)) == []

        assert search.finder.incomplete


def test_a_core_whose_name_was_removed_while_it_was_written_is_claimed(search: Search, dump: Dump) -> None:
    path = dump()
    with path.open("ab"):
        search.examine("core")
        path.unlink()

    claim = search.claim_one("core")
    search.claims.prepare(claim)

    assert os.pread(claim.descriptor, 1 << 20, 0) == DeadProcess().core()


def test_a_core_and_the_next_one_under_its_name_are_both_claimed(search: Search, dump: Dump) -> None:
    with dump().open("ab"):
        search.examine("core")
        (Path(search.directory.directory) / "core").unlink()
        dump(DeadProcess(pid=5000))

    assert {claim.record.facts.process.pid for claim in search.examine("core")} == {4242, 5000}


def test_a_file_with_two_names_does_not_delay_the_core_that_replaces_it(
    search: Search, dump: Dump, tmp_path: Path
) -> None:
    decoy = dump()
    (tmp_path / "elsewhere").hardlink_to(decoy)
    assert search.examine("core") == []
    decoy.rename(tmp_path / "decoy")
    dump(DeadProcess(pid=5000))

    assert search.claim_one("core").record.facts.process.pid == 5000


def test_a_claimed_core_under_a_new_name_is_reported_as_renamed(search: Search, dump: Dump, spool: Path) -> None:
    path = dump()
    crash_id = search.facts("core").crash_id
    renamed = path.rename(spool / "core.pbx-2026")

    assert search.examine(renamed.name) == search.scan() == []
    assert search.queue.renamed == [CoreRenamed(crash_id, str(spool), renamed.name, file_identity(renamed.stat()))]


def test_the_link_of_a_claim_is_not_a_new_name(search: Search, dump: Dump) -> None:
    path = dump()
    claim = search.claim_one("core")
    path.unlink()

    assert search.examine(f".astbtd.{claim.id}") == search.scan() == []
    assert search.queue.renamed == []


def test_a_left_link_of_a_forgotten_claim_is_not_a_new_name(search: Search, dump: Dump) -> None:
    path = dump()
    claim = search.claim_one("core")
    search.claims.forget(claim.id)
    path.unlink()

    assert search.examine(f".astbtd.{claim.id}") == []
    assert search.queue.renamed == []


def test_a_copy_of_a_claimed_core_is_reported_with_the_identity_of_the_copy(
    search: Search, dump: Dump, spool: Path
) -> None:
    path = dump()
    claim = search.claim_one("core")
    copy = spool / "copy"
    copy.write_bytes(path.read_bytes())
    os.utime(copy, ns=(0, path.stat().st_mtime_ns))

    assert search.examine("copy") == []
    assert search.queue.renamed == [CoreRenamed(claim.id, str(spool), "copy", file_identity(copy.stat()))]
    assert claim.record.file == file_identity(path.stat())


def test_a_collected_core_that_was_renamed_while_no_daemon_ran_is_reported_like_one_that_is_claimed(
    searching: Searching, dump: Dump, spool: Path
) -> None:
    path = dump()
    before = searching()
    claim = before.claim_one("core")
    before.queue.take_all()
    before.claims.finish(claim, remove_original=False)
    renamed = path.rename(spool / "core.pbx-2026")
    search = searching()
    search.collected.add(claim.record.facts.identity)

    assert search.scan() == []

    assert search.queue.renamed == [CoreRenamed(claim.id, str(spool), renamed.name, claim.record.file or "")]


def test_a_core_that_is_left_has_no_identity_by_which_it_might_be_removed(searching: Searching, dump: Dump) -> None:
    dump()

    assert searching(action=CoreAction.LEAVE).claim_one("core").record.file is None


def test_a_core_that_cannot_be_claimed_now_is_claimed_later(
    search: Search, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    dump()

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("astbtd.lib.files.write_all", fail)
        with pytest.raises(AstbtdError, match="No space left"):
            search.examine("core")

    assert len(search.examine("core")) == 1


def test_a_held_core_that_cannot_be_read_now_is_held_further(
    search: Search, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dump()
    with path.open("ab"):
        search.examine("core")
        path.unlink()
    (core,) = search.finder.incomplete.all()

    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", fail)
        with pytest.raises(OSError, match="Input/output error"):
            search.queue.add(search.finder.recheck(core))

    (held,) = search.finder.incomplete.all()
    assert len(search.queue.add(search.finder.recheck(held))) == 1


def test_a_core_whose_second_name_is_the_link_of_a_claim_is_not_refused(
    searching: Searching, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("astbtd.claims.core_judge._SECOND_NAME_SECONDS", 0.0)
    path = dump()
    searching().claim_one("core")
    other = searching()

    assert other.examine("core") == []
    assert other.queue.refused == []
    assert path.exists()


def test_a_core_that_another_process_has_claimed_is_left_to_it(searching: Searching, dump: Dump) -> None:
    dump()
    searching().claim_one("core")

    assert searching().examine("core") == []


def test_of_two_finders_for_two_threads_one_claims_a_core(search: Search, dump: Dump, spool: Path) -> None:
    dump()
    (spool / "copy").write_bytes(DeadProcess().core())
    other = search.finder.for_another_thread(search.queue)

    first = search.examine("core")
    second = search.queue.add(other.examine_entry(search.directory, "copy", DiscoveredBy.EVENT))

    assert (len(first), len(second)) == (1, 0)


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_compressed_core_is_claimed_and_unpacked_when_the_claim_is_prepared(
    search: Search, spool: Path, suffix: str
) -> None:
    (spool / f"core.{suffix}").write_bytes(COMPRESS[suffix](DeadProcess().core()))
    claim = search.claim_one(f"core.{suffix}")

    search.claims.prepare(claim)

    assert os.pread(claim.descriptor, 1 << 20, 0) == DeadProcess().core()
    assert claim.id == claim.record.facts.crash_id
    assert claim.record.packed
    assert os.listdir(spool) == [f"core.{suffix}"]


def test_a_core_is_claimed_once_plain_or_compressed(
    searching: Searching, dump: Dump, spool: Path, claims: Claims
) -> None:
    dump()
    (spool / "core.xz").write_bytes(COMPRESS["xz"](DeadProcess().core()))
    dumped_at = (spool / "core").stat().st_mtime
    os.utime(spool / "core.xz", (dumped_at, dumped_at))  # the crash time is a part of the id
    plain = searching().facts("core")
    packed = searching().claim_one("core.xz")

    with pytest.raises(AlreadyClaimed, match=plain.crash_id):
        claims.prepare(packed)


@pytest.mark.parametrize("remove", [True, False])
def test_a_compressed_core_is_removed_with_its_claim_if_requested(search: Search, spool: Path, remove: bool) -> None:
    (spool / "core.zst").write_bytes(COMPRESS["zst"](DeadProcess().core()))
    search.claims.prepare(search.claim_one("core.zst"))
    (claim,) = search.queue.take_all()

    search.claims.finish(claim, remove_original=remove)

    assert os.listdir(spool) == ([] if remove else ["core.zst"])
    assert os.listdir(search.claims.incoming) == []


def test_the_file_of_another_collector_is_never_removed(searching: Searching, spool: Path) -> None:
    name = f"core.asterisk.110.{'0f' * 16}.4242.1.zst"
    (spool / name).write_bytes(COMPRESS["zst"](DeadProcess().core()))
    search = searching(kernel_writes=False, collector=SystemdCoredump())
    search.claims.prepare(search.claim_one(name))
    (claim,) = search.queue.take_all()

    search.claims.finish(claim, remove_original=True)

    assert claim.record.source == SystemdCoredump.name
    assert os.listdir(spool) == [name]


def test_files_beside_those_of_a_collector_are_cores_only_if_the_kernel_writes_there(
    searching: Searching, dump: Dump
) -> None:
    dump(name="core")

    assert searching(kernel_writes=False, collector=SystemdCoredump()).examine("core") == []
    claim = searching(kernel_writes=True, collector=SystemdCoredump()).claim_one("core")
    assert claim.record.source == "file"


@pytest.fixture
def private_tmp(searching: Searching) -> Search:
    """A search of a directory that is removed when the service of Asterisk ends."""
    return searching(volatile_pattern=core_pattern.parse("/tmp/core-%e-%t"))


def test_in_a_private_tmp_a_core_is_held_open_before_its_first_byte_is_written(
    private_tmp: Search, spool: Path
) -> None:
    path = spool / "core-asterisk-1"
    with path.open("wb") as dumping:
        assert private_tmp.examine(path.name) == []
        path.unlink()
        dumping.write(DeadProcess().core())

    claim = private_tmp.claim_one(path.name)

    assert claim.record.copied
    assert private_tmp.examine(path.name) == []


def test_in_a_private_tmp_a_core_that_vanished_before_it_was_opened_is_lost(
    private_tmp: Search, claims: Claims, spool: Path
) -> None:
    claim = private_tmp.claim_one("core-asterisk-1")

    assert claim.record.loss is not None
    assert "PrivateTmp=no" in claim.record.loss.remedy
    assert claim.record.path == str(spool / "core-asterisk-1")
    assert list(claims.ids()) == [claim.id]
    assert private_tmp.examine("core-asterisk-1") == []


def test_other_files_that_vanish_are_not_lost_cores(private_tmp: Search, search: Search) -> None:
    assert private_tmp.examine("upload-1") == []
    assert private_tmp.examine("core-asterisk-2", DiscoveredBy.SCAN) == []
    assert search.examine("core") == []


def test_the_claim_of_a_lost_core_is_resumed_after_a_restart(private_tmp: Search, claims: Claims) -> None:
    claim = private_tmp.claim_one("core-asterisk-1")
    claims.suspend(claim)
    private_tmp.queue.take_all()

    (resumed,) = private_tmp.resume()

    assert resumed.record == claim.record


def interrupt(search: Search, name: str) -> None:
    """Claim a core, and simulate that the daemon was killed before it has copied the core."""
    search.claim_one(name)
    (claim,) = search.queue.take_all()
    claim.close()


def test_only_claims_in_our_directories_are_resumed(search: Search, dump: Dump, spool: Path) -> None:
    dump()
    interrupt(search, "core")

    assert search.queue.add(search.finder.resume_claims(lambda directory: directory != str(spool))) == []
    assert len(search.resume()) == 1
    assert search.resume() == []  # it is locked now


def test_a_claim_is_resumed_when_its_renamed_directory_is_scanned(search: Search, dump: Dump, spool: Path) -> None:
    dump()
    claim = search.claim_one("core")
    search.claims.suspend(claim)
    search.queue.take_all()
    moved = spool.rename(spool.with_name("moved"))
    search.directory = replace(search.directory, directory=str(moved))
    assert search.resume() == []
    assert search.finder.lost.ids == {claim.id}

    resumed = search.claim_one(f".astbtd.{claim.id}")

    assert resumed.record.path == str(moved / "core")
    assert not search.finder.lost


def test_a_claim_whose_directory_is_missing_is_kept(search: Search, dump: Dump, spool: Path) -> None:
    dump()
    interrupt(search, "core")
    spool.rename(spool.with_name("unmounted"))
    search.resume()

    search.finder.forget_lost_claims()

    assert len(list(search.claims.ids())) == 1


def test_an_incomplete_claim_file_is_removed(search: Search, dump: Dump) -> None:
    dump()
    claim = search.claim_one("core")
    (search.claims.incoming / f"{claim.id}.claim").write_bytes(b"{")
    search.queue.close()
    search.resume()

    search.finder.forget_lost_claims()

    assert list(search.claims.ids()) == []


@pytest.mark.parametrize("removed", [True, False])
def test_a_core_that_vanished_before_it_was_copied_is_lost(searching: Searching, dump: Dump, removed: bool) -> None:
    path = dump()
    interrupt(searching(action=CoreAction.LEAVE), "core")
    if removed:
        path.unlink()
    search = searching(action=CoreAction.LEAVE)

    assert search.resume() == []
    search.finder.forget_lost_claims()
    claimed_again = search.scan()
    lost = search.queue.add(search.finder.claim_lost_cores())

    assert [claim.record.facts.process.pid for claim in lost] == ([4242] if removed else [])
    assert len(claimed_again) == (0 if removed else 1)


def test_a_core_that_still_exists_in_a_directory_that_is_no_longer_watched_is_not_lost(
    searching: Searching, dump: Dump
) -> None:
    dump()
    interrupt(searching(action=CoreAction.LEAVE), "core")
    search = searching(action=CoreAction.LEAVE)

    assert search.resume() == []
    search.finder.forget_lost_claims()
    assert list(search.finder.claim_lost_cores()) == []


def test_a_compressed_core_that_still_exists_is_not_lost(searching: Searching, spool: Path) -> None:
    (spool / "core.zst").write_bytes(COMPRESS["zst"](DeadProcess().core()))
    interrupt(searching(), "core.zst")
    search = searching()

    assert search.resume() == []
    search.finder.forget_lost_claims()

    assert len(search.scan()) == 1
    assert list(search.finder.claim_lost_cores()) == []


def test_without_capacity_a_core_is_left_as_it_is(search: Search, dump: Dump) -> None:
    path = dump()
    search.queue.found = 0

    assert search.scan() == []
    assert search.finder.postponed
    assert path.stat().st_nlink == 1

    search.queue.found = 1
    assert len(search.scan()) == 1


def test_more_cores_may_be_queued_if_they_were_just_written(search: Search, dump: Dump) -> None:
    dump()
    search.queue.found = 0

    assert len(search.examine("core", DiscoveredBy.EVENT)) == 1
    assert not search.finder.postponed


def test_a_claim_is_handled_before_the_capacity_is_checked_for_the_next_core(searching: Searching, spool: Path) -> None:
    for number in range(3):
        (spool / f"core.{number}").write_bytes(DeadProcess(pid=number + 1).core())
    search = searching()
    search.queue.found = 2

    assert len(search.scan()) == 2
    assert search.finder.postponed


def claim_after_two_scans(search: Search) -> list[Claim]:
    """Claim the replaced cores after two scans: the first may have missed a core that was just being renamed."""
    assert search.queue.add(search.finder.claim_replaced_cores()) == []
    return search.queue.add(search.finder.claim_replaced_cores())


def test_a_core_that_could_not_be_claimed_and_was_replaced_is_reported_once_and_claimed_as_lost_later(
    search: Search, dump: Dump, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    path = dump()
    with monkeypatch.context() as patched:
        patched.setattr("astbtd.lib.files.write_all", fail)
        with pytest.raises(AstbtdError, match="No space left"):
            search.examine("core")
        path.unlink()
        assert search.queue.add(search.finder.claim_replaced_cores()) == []
        for _ in range(2):
            with pytest.raises(AstbtdError, match="No space left"):
                search.queue.add(search.finder.claim_replaced_cores())
    (reported,) = search.queue.replaced

    (claim,) = search.queue.add(search.finder.claim_replaced_cores())

    assert claim.record == reported
    assert claim.record.loss is not None
    assert "No space left" in claim.record.loss.reason
    assert search.queue.add(search.finder.claim_replaced_cores()) == []


def test_a_lost_core_of_a_user_who_does_not_run_the_pbx_is_foreign(
    search: Search, spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (spool / "core").write_bytes(DeadProcess(uid=12345).core())
    with monkeypatch.context() as patched:
        patched.setattr("astbtd.lib.files.write_all", fail)
        with pytest.raises(AstbtdError, match="No space left"):
            search.examine("core")
    (spool / "core").unlink()
    (spool / "core").write_bytes(DeadProcess(uid=12345, pid=7).core())
    search.queue.written = 0
    assert search.examine("core") == []
    (spool / "core").unlink()

    assert [claim.record.foreign for claim in claim_after_two_scans(search)] == [True, True]


def test_a_core_that_was_just_written_while_the_queue_was_full_is_lost_if_it_is_replaced(
    search: Search, dump: Dump
) -> None:
    search.queue.written = 0
    path = dump()
    assert search.examine("core") == []
    path.unlink()
    search.queue.written = 1000

    (claim,) = claim_after_two_scans(search)

    assert claim.record.loss is not None
    assert "too many cores were queued" in claim.record.loss.reason


def test_a_core_that_could_not_be_claimed_and_was_renamed_is_not_lost(search: Search, dump: Dump, spool: Path) -> None:
    search.queue.written = 0
    path = dump()
    assert search.examine("core") == []
    path.rename(spool / "core.renamed")
    search.queue.written = 1000

    assert len(search.scan()) == 1

    assert claim_after_two_scans(search) == []
    assert search.queue.replaced == []


def test_a_core_that_was_renamed_and_for_which_there_is_still_no_room_is_not_lost(
    search: Search, dump: Dump, spool: Path
) -> None:
    search.queue.written = search.queue.found = 0
    path = dump()
    assert search.examine("core") == []
    path.rename(spool / "core.renamed")

    assert search.scan() == []

    assert claim_after_two_scans(search) == []
    assert search.queue.replaced == []
