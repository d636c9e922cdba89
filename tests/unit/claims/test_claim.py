"""A claim survives renames, restarts and replacement of the core, and is released without touching other files."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from astbtd.claims.claim import PREFIX, AlreadyClaimed, Claim, Claims, Vanished
from astbtd.claims.claim_file import ClaimFiles
from astbtd.claims.core_filter import Candidate, examine
from astbtd.claims.private_copy import PrivateCopies
from astbtd.errors import NoRoom
from astbtd.model.crash import DiscoveredBy
from tests.support.builders import DeadProcess
from tests.support.finding import count_descriptors, make_claims
from tests.support.fixture_types import Dump
from tests.support.packed import COMPRESS

Take = Callable[..., Claim]


def no_room(_: int) -> None:
    raise NoRoom("the disk is full")


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return make_claims(tmp_path)


@pytest.fixture
def take(claims: Claims) -> Take:
    """Claims the core at a path, and prepares the claim."""

    def take(path: Path, copy: bool = False) -> Claim:
        claim = claims.claim_core(candidate(path), DiscoveredBy.EVENT, copy=copy)
        claims.prepare(claim)
        return claim

    return take


@dataclass
class Owner:
    """A thread that is asked to finish claims."""

    requests: list[tuple[Claim, bool]] = field(default_factory=list)

    def request_finish(self, claim: Claim, *, remove_original: bool) -> None:
        self.requests.append((claim, remove_original))


def candidate(path: Path) -> Candidate:
    found = examine(str(path.parent), path.name, None)
    assert isinstance(found, Candidate)
    return found


def names_in(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def test_a_claim_is_a_hard_link_beside_the_core_and_a_claim_file(take: Take, claims: Claims, dump: Dump) -> None:
    path = dump()

    claim = take(path)

    link = path.with_name(PREFIX + claim.id)
    assert link.stat().st_ino == path.stat().st_ino
    assert names_in(claims.incoming) == [f"{claim.id}.claim"]
    assert list(claims.ids()) == [claim.id]


def test_a_core_that_must_not_be_touched_is_copied_and_left_as_it_was(take: Take, claims: Claims, dump: Dump) -> None:
    path = dump()
    before = path.stat()

    claim = take(path, copy=True)

    after = path.stat()
    assert (after.st_nlink, after.st_mode, after.st_ctime_ns) == (1, before.st_mode, before.st_ctime_ns)
    assert os.pread(claim.descriptor, 1 << 20, 0) == path.read_bytes()
    assert names_in(claims.incoming) == [f"{claim.id}.claim", f"{claim.id}.core"]


def test_without_room_for_a_copy_the_claim_is_kept(tmp_path: Path, dump: Dump) -> None:
    claims = make_claims(tmp_path, no_room)
    claim = claims.claim_core(candidate(dump()), DiscoveredBy.EVENT, copy=True)

    with pytest.raises(NoRoom):
        claims.prepare(claim)

    assert names_in(claims.incoming) == [f"{claim.id}.claim"]
    assert os.pread(claim.descriptor, 4, 0) == b"\x7fELF"


def test_a_claim_without_a_copy_needs_no_disk_space(tmp_path: Path, dump: Dump) -> None:
    claims = make_claims(tmp_path, no_room)

    assert claims.claim_core(candidate(dump()), DiscoveredBy.EVENT, copy=False).record.name == "core"


def test_a_core_is_claimed_once(take: Take, claims: Claims, dump: Dump) -> None:
    path = dump()
    second = candidate(path)
    take(path)

    with pytest.raises(AlreadyClaimed):
        claims.claim_core(second, DiscoveredBy.SCAN, copy=False)


def test_a_core_that_got_another_hard_link_meanwhile_is_not_claimed(claims: Claims, dump: Dump, spool: Path) -> None:
    found = candidate(dump())
    (spool / "other").hardlink_to(spool / "core")

    with pytest.raises(Vanished):
        claims.claim_core(found, DiscoveredBy.EVENT, copy=False)

    assert names_in(spool) == ["core", "other"]
    assert names_in(claims.incoming) == []


@pytest.fixture
def nameless(claims: Claims, dump: Dump) -> Claim:
    """The claim on a core that was removed while it was claimed."""
    found = candidate(dump())
    os.unlink(found.path)
    return claims.claim_core(found, DiscoveredBy.EVENT, copy=False)


def test_a_core_that_was_removed_meanwhile_is_copied(nameless: Claim, claims: Claims) -> None:
    claims.prepare(nameless)

    assert os.pread(nameless.descriptor, 1 << 20, 0) == DeadProcess().core()
    assert names_in(claims.incoming) == [f"{nameless.id}.claim", f"{nameless.id}.core"]


def test_a_core_without_a_name_is_processed_without_a_copy_if_the_disk_is_full(nameless: Claim, claims: Claims) -> None:
    replace(claims, unpacker=replace(claims.unpacker, reserve=no_room)).prepare(nameless)

    assert nameless.is_prepared
    assert os.pread(nameless.descriptor, 1 << 20, 0) == DeadProcess().core()


def test_a_core_without_a_name_is_copied_when_its_claim_is_suspended(nameless: Claim, claims: Claims) -> None:
    claims.suspend(nameless)

    resumed = claims.resume(nameless.id)
    assert resumed is not None
    assert os.pread(resumed.descriptor, 1 << 20, 0) == DeadProcess().core()


def test_finishing_removes_link_claim_file_and_core(take: Take, claims: Claims, dump: Dump, spool: Path) -> None:
    claim = take(dump())

    claims.finish(claim, remove_original=True)

    assert (names_in(spool), names_in(claims.incoming)) == ([], [])


def test_finishing_can_leave_the_core(take: Take, claims: Claims, dump: Dump, spool: Path) -> None:
    claim = take(dump())

    claims.finish(claim, remove_original=False)

    assert (names_in(spool), names_in(claims.incoming)) == (["core"], [])


def test_finishing_a_copy_leaves_the_core(take: Take, claims: Claims, dump: Dump, spool: Path) -> None:
    claim = take(dump(), copy=True)

    claims.finish(claim, remove_original=True)

    assert (names_in(spool), names_in(claims.incoming)) == (["core"], [])


def test_the_core_of_the_next_crash_under_the_same_name_is_not_removed(
    take: Take, claims: Claims, dump: Dump, spool: Path
) -> None:
    claim = take(dump())
    (spool / "core").unlink()
    dump(DeadProcess(pid=5000))

    claims.finish(claim, remove_original=True)

    assert names_in(spool) == ["core"]
    assert candidate(spool / "core").facts.process.pid == 5000


def test_an_interrupted_removal_is_completed(take: Take, claims: Claims, dump: Dump, spool: Path) -> None:
    claim = take(dump())
    (spool / "core").rename(spool / f"{PREFIX}{claim.id}.aside")

    claims.finish(claim, remove_original=True)

    assert names_in(spool) == []


@pytest.mark.parametrize("copy", [False, True])
def test_a_suspended_claim_is_resumed_unchanged(take: Take, claims: Claims, dump: Dump, copy: bool) -> None:
    claim = take(dump(), copy=copy)
    claims.suspend(claim)

    resumed = claims.resume(claim.id)

    assert resumed is not None
    assert (resumed.id, resumed.record) == (claim.id, claim.record)
    assert os.pread(resumed.descriptor, 4, 0) == b"\x7fELF"


def test_a_claim_that_is_being_processed_is_not_resumed(take: Take, claims: Claims, dump: Dump) -> None:
    claim = take(dump())

    with pytest.raises(AlreadyClaimed):
        claims.resume(claim.id)


def test_a_claim_is_resumed_in_a_directory_that_was_renamed(
    take: Take, claims: Claims, dump: Dump, spool: Path
) -> None:
    claim = take(dump())
    claims.suspend(claim)
    moved = spool.rename(spool.with_name("moved"))

    assert claims.resume(claim.id) is None
    resumed = claims.resume(claim.id, str(moved))

    assert resumed is not None
    assert resumed.record.path == str(moved / "core")


def test_another_file_with_the_name_of_a_claim_is_not_resumed(
    take: Take, claims: Claims, dump: Dump, spool: Path
) -> None:
    claim = take(dump())
    claims.suspend(claim)
    (spool / f"{PREFIX}{claim.id}").unlink()
    (spool / f"{PREFIX}{claim.id}").write_bytes(DeadProcess(pid=5000).core())

    assert claims.resume(claim.id) is None


def test_a_symbolic_link_with_the_name_of_a_claim_is_not_followed(
    take: Take, claims: Claims, dump: Dump, spool: Path
) -> None:
    claim = take(dump())
    claims.suspend(claim)
    (spool / f"{PREFIX}{claim.id}").unlink()
    (spool / f"{PREFIX}{claim.id}").symlink_to("core")

    assert claims.resume(claim.id) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_an_incomplete_claim_file_is_not_resumed(take: Take, claims: Claims, dump: Dump, text: str) -> None:
    claim = take(dump())
    claims.suspend(claim)
    (claims.incoming / f"{claim.id}.claim").write_text(text)

    assert claims.resume(claim.id) is None


def test_a_forgotten_claim_leaves_no_files(take: Take, claims: Claims, dump: Dump) -> None:
    claim = take(dump(), copy=True)
    claims.suspend(claim)

    claims.forget(claim.id)

    assert names_in(claims.incoming) == []


def test_claims_are_ordered_newest_crash_first(take: Take, dump: Dump) -> None:
    old, new = dump(DeadProcess(pid=1), "core.1"), dump(DeadProcess(pid=2), "core.2")
    os.utime(old, (0, 1_000_000))
    os.utime(new, (0, 2_000_000))

    assert [claim.record.name for claim in sorted([take(old), take(new)])] == ["core.2", "core.1"]


@pytest.mark.parametrize("copy", [False, True])
def test_all_descriptors_are_closed_when_a_claim_ends(take: Take, claims: Claims, dump: Dump, copy: bool) -> None:
    before = count_descriptors()
    first, second = take(dump(), copy=copy), take(dump(DeadProcess(pid=5000), "core.5000"), copy=copy)

    claims.finish(first, remove_original=True)
    claims.suspend(second)

    assert count_descriptors() == before


def test_a_claim_that_was_copied_to_the_store_is_read_from_there_and_still_has_its_link(
    take: Take, claims: Claims, dump: Dump
) -> None:
    path = dump()
    content = path.read_bytes()
    chunks: list[None] = []

    copied = claims.copy_to_store(take(path), lambda: chunks.append(None))

    path.write_bytes(b"")
    assert os.pread(copied.descriptor, 1 << 20, 0) == content
    assert chunks
    claims.finish(copied, remove_original=True)
    assert names_in(path.parent) == []
    assert names_in(claims.incoming) == []


def test_a_claim_that_cannot_be_copied_to_the_store_is_kept(tmp_path: Path, dump: Dump) -> None:
    claims = make_claims(tmp_path, no_room)
    claim = claims.claim_core(candidate(dump()), DiscoveredBy.EVENT, copy=False)

    with pytest.raises(NoRoom):
        claims.copy_to_store(claim, lambda: None)

    assert list(claims.ids()) == [claim.id]
    assert os.fstat(claim.descriptor).st_size > 0


def test_a_claim_with_an_owner_is_finished_by_the_owner(take: Take, claims: Claims, dump: Dump) -> None:
    owner = Owner()
    claim = replace(take(dump()), owner=owner)

    claims.finish(claim, remove_original=True)

    assert owner.requests == [(claim, True)]
    assert list(claims.ids()) == [claim.id]
    claims.finish_here(claim, remove_original=True)
    assert list(claims.ids()) == []


def test_the_directory_of_a_claim_is_read_from_its_claim_file(take: Take, claims: Claims, dump: Dump) -> None:
    path = dump()
    claim = take(path)

    assert claims.directory(claim.id) == str(path.parent)
    (claims.incoming / f"{claim.id}.claim").write_bytes(b"damaged")
    assert claims.directory(claim.id) is None
    assert claims.directory("another") is None


def test_a_packed_core_is_copied_to_the_store_packed_and_unpacked_there(claims: Claims, spool: Path) -> None:
    (spool / "core.zst").write_bytes(COMPRESS["zst"](DeadProcess().core()))
    taken = claims.claim_core(candidate(spool / "core.zst"), DiscoveredBy.EVENT, copy=False)

    copied = claims.copy_to_store(taken, lambda: None)
    (spool / "core.zst").write_bytes(b"")
    claims.prepare(copied)

    assert os.pread(copied.descriptor, 1 << 20, 0) == DeadProcess().core()
    assert names_in(claims.incoming) == [f"{copied.id}.claim", f"{copied.id}.core"]


@pytest.mark.parametrize(("files", "method"), [(ClaimFiles, "write"), (PrivateCopies, "reassign")])
def test_an_unpacked_core_whose_claim_file_cannot_be_written_is_unpacked_again_later(
    claims: Claims, spool: Path, monkeypatch: pytest.MonkeyPatch, files: type, method: str
) -> None:
    core = DeadProcess().core()
    (spool / "core.zst").write_bytes(COMPRESS["zst"](core))
    claim = claims.claim_core(candidate(spool / "core.zst"), DiscoveredBy.EVENT, copy=False)
    packed = claim.id

    def fail(*_: object) -> None:
        raise NoRoom("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(files, method, fail)
        with pytest.raises(NoRoom):
            claims.prepare(claim)
    assert (claim.id, list(claims.ids())) == (packed, [packed])

    claims.prepare(claim)

    assert claim.id != packed
    assert list(claims.ids()) == [claim.id]
    assert os.pread(claim.descriptor, len(core) + 1, 0) == core


@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_core_whose_directory_refuses_a_hard_link_is_copied(
    claims: Claims, dump: Dump, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(why, os.strerror(why))

    monkeypatch.setattr(os, "link", refuse)

    claim = claims.claim_core(candidate(dump()), DiscoveredBy.EVENT, copy=False)

    assert claim.record.copied
    assert list(claims.ids()) == [claim.id]


def test_a_claim_whose_directory_was_renamed_removes_its_link_and_the_core_there(
    claims: Claims, take: Take, dump: Dump, spool: Path, tmp_path: Path
) -> None:
    claim = take(dump())
    renamed = spool.rename(tmp_path / "renamed")
    spool.mkdir()
    (spool / "core").touch()

    claims.finish(claim, remove_original=True)

    assert os.listdir(renamed) == []
    assert os.listdir(spool) == ["core"]
