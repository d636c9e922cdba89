"""A claim holds a core through renames, restarts and replacement, and lets go of exactly what it took."""

import errno
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.claims.claim import PREFIX, AlreadyClaimed, Claim, Claims, Vanished
from astbtd.claims.claim_file import ClaimFiles
from astbtd.claims.core_filter import Candidate, examine
from astbtd.claims.private_copy import PrivateCopies
from astbtd.claims.unpack import Unpacker
from astbtd.errors import NoRoom
from astbtd.model.crash import DiscoveredBy
from astbtd.settings import UnpackingSettings
from tests.support.builders import DeadProcess
from tests.support.fixture_types import Dump
from tests.support.packed import COMPRESS

Take = Callable[..., Claim]


def room_for_all(_: int) -> None:
    """There is room."""


def no_room(_: int) -> None:
    raise NoRoom("the disk is full")


def claims_in(directory: Path, reserve: Callable[[int], None]) -> Claims:
    (directory / "incoming").mkdir()
    return Claims(directory / "incoming", -1, Unpacker(UnpackingSettings(), reserve, lambda: None))


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return claims_in(tmp_path, room_for_all)


@pytest.fixture
def take(claims: Claims) -> Take:
    """Claims the core at a path, for good."""

    def take(path: Path, copy: bool = False) -> Claim:
        claim = claims.take(candidate(path), DiscoveredBy.EVENT, copy=copy)
        claims.secure(claim)
        return claim

    return take


def candidate(path: Path) -> Candidate:
    found = examine(str(path.parent), path.name, None)
    assert isinstance(found, Candidate)
    return found


def names_in(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


def test_a_claim_is_a_second_name_beside_the_core_and_a_note(take: Take, claims: Claims, dump: Dump) -> None:
    path = dump()

    claim = take(path)

    link = path.with_name(PREFIX + claim.id)
    assert link.stat().st_ino == path.stat().st_ino
    assert names_in(claims.incoming) == [f"{claim.id}.claim"]
    assert list(claims.noted()) == [claim.id]


def test_a_core_that_must_not_be_touched_is_copied_and_left_as_it_was(take: Take, claims: Claims, dump: Dump) -> None:
    path = dump()
    before = path.stat()

    claim = take(path, copy=True)

    after = path.stat()
    assert (after.st_nlink, after.st_mode, after.st_ctime_ns) == (1, before.st_mode, before.st_ctime_ns)
    assert os.pread(claim.descriptor, 1 << 20, 0) == path.read_bytes()
    assert names_in(claims.incoming) == [f"{claim.id}.claim", f"{claim.id}.core"]


def test_without_room_for_a_copy_the_claim_waits(tmp_path: Path, dump: Dump) -> None:
    claims = claims_in(tmp_path, no_room)
    claim = claims.take(candidate(dump()), DiscoveredBy.EVENT, copy=True)

    with pytest.raises(NoRoom):
        claims.secure(claim)

    assert names_in(claims.incoming) == [f"{claim.id}.claim"]
    assert os.pread(claim.descriptor, 4, 0) == b"\x7fELF"


def test_a_claim_needs_no_room(tmp_path: Path, dump: Dump) -> None:
    claims = claims_in(tmp_path, no_room)

    assert claims.take(candidate(dump()), DiscoveredBy.EVENT, copy=False).note.name == "core"


def test_a_core_is_claimed_once(take: Take, claims: Claims, dump: Dump) -> None:
    path = dump()
    second = candidate(path)
    take(path)

    with pytest.raises(AlreadyClaimed):
        claims.take(second, DiscoveredBy.SCAN, copy=False)


def test_a_core_that_was_given_another_name_meanwhile_is_not_claimed(claims: Claims, dump: Dump, spool: Path) -> None:
    found = candidate(dump())
    (spool / "other").hardlink_to(spool / "core")

    with pytest.raises(Vanished):
        claims.take(found, DiscoveredBy.EVENT, copy=False)

    assert names_in(spool) == ["core", "other"]
    assert names_in(claims.incoming) == []


@pytest.fixture
def nameless(claims: Claims, dump: Dump) -> Claim:
    """The claim on a core that was removed while it was claimed."""
    found = candidate(dump())
    os.unlink(found.path)
    return claims.take(found, DiscoveredBy.EVENT, copy=False)


def test_a_core_that_was_removed_meanwhile_is_copied(nameless: Claim, claims: Claims) -> None:
    claims.secure(nameless)

    assert os.pread(nameless.descriptor, 1 << 20, 0) == DeadProcess().core()
    assert names_in(claims.incoming) == [f"{nameless.id}.claim", f"{nameless.id}.core"]


def test_a_core_without_a_name_is_read_as_it_is_where_there_is_no_room_for_a_copy(
    nameless: Claim, claims: Claims
) -> None:
    replace(claims, unpacker=replace(claims.unpacker, reserve=no_room)).secure(nameless)

    assert nameless.secured
    assert os.pread(nameless.descriptor, 1 << 20, 0) == DeadProcess().core()


def test_a_core_without_a_name_gets_its_copy_before_it_is_let_go(nameless: Claim, claims: Claims) -> None:
    claims.park(nameless)

    resumed = claims.resume(nameless.id)
    assert resumed is not None
    assert os.pread(resumed.descriptor, 1 << 20, 0) == DeadProcess().core()


def test_finishing_removes_link_note_and_core(take: Take, claims: Claims, dump: Dump, spool: Path) -> None:
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


def test_a_claim_whose_removal_was_interrupted_is_finished_all_the_same(
    take: Take, claims: Claims, dump: Dump, spool: Path
) -> None:
    claim = take(dump())
    (spool / "core").rename(spool / f"{PREFIX}{claim.id}.aside")

    claims.finish(claim, remove_original=True)

    assert names_in(spool) == []


@pytest.mark.parametrize("copy", [False, True])
def test_a_parked_claim_is_resumed_as_it_was(take: Take, claims: Claims, dump: Dump, copy: bool) -> None:
    claim = take(dump(), copy=copy)
    claims.park(claim)

    resumed = claims.resume(claim.id)

    assert resumed is not None
    assert (resumed.id, resumed.note) == (claim.id, claim.note)
    assert os.pread(resumed.descriptor, 4, 0) == b"\x7fELF"


def test_a_claim_in_work_is_not_resumed(take: Take, claims: Claims, dump: Dump) -> None:
    claim = take(dump())

    with pytest.raises(AlreadyClaimed):
        claims.resume(claim.id)


def test_a_claim_is_found_in_a_directory_that_was_renamed(take: Take, claims: Claims, dump: Dump, spool: Path) -> None:
    claim = take(dump())
    claims.park(claim)
    moved = spool.rename(spool.with_name("moved"))

    assert claims.resume(claim.id) is None
    resumed = claims.resume(claim.id, str(moved))

    assert resumed is not None
    assert resumed.note.path == str(moved / "core")


def test_another_file_under_the_name_of_a_claim_is_not_resumed(
    take: Take, claims: Claims, dump: Dump, spool: Path
) -> None:
    claim = take(dump())
    claims.park(claim)
    (spool / f"{PREFIX}{claim.id}").unlink()
    (spool / f"{PREFIX}{claim.id}").write_bytes(DeadProcess(pid=5000).core())

    assert claims.resume(claim.id) is None


def test_a_link_under_the_name_of_a_claim_is_not_followed(take: Take, claims: Claims, dump: Dump, spool: Path) -> None:
    claim = take(dump())
    claims.park(claim)
    (spool / f"{PREFIX}{claim.id}").unlink()
    (spool / f"{PREFIX}{claim.id}").symlink_to("core")

    assert claims.resume(claim.id) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_note_that_was_never_completed_holds_nothing(take: Take, claims: Claims, dump: Dump, text: str) -> None:
    claim = take(dump())
    claims.park(claim)
    (claims.incoming / f"{claim.id}.claim").write_text(text)

    assert claims.resume(claim.id) is None


def test_a_forgotten_claim_leaves_nothing_of_ours(take: Take, claims: Claims, dump: Dump) -> None:
    claim = take(dump(), copy=True)
    claims.park(claim)

    claims.forget(claim.id)

    assert names_in(claims.incoming) == []


def test_claims_are_ordered_newest_crash_first(take: Take, dump: Dump) -> None:
    old, new = dump(DeadProcess(pid=1), "core.1"), dump(DeadProcess(pid=2), "core.2")
    os.utime(old, (0, 1_000_000))
    os.utime(new, (0, 2_000_000))

    assert [claim.note.name for claim in sorted([take(old), take(new)])] == ["core.2", "core.1"]


@pytest.mark.parametrize("copy", [False, True])
def test_no_descriptor_is_left_open_when_a_claim_ends(take: Take, claims: Claims, dump: Dump, copy: bool) -> None:
    before = os.listdir("/proc/self/fd")
    first, second = take(dump(), copy=copy), take(dump(DeadProcess(pid=5000), "core.5000"), copy=copy)

    claims.finish(first, remove_original=True)
    claims.park(second)

    assert len(os.listdir("/proc/self/fd")) == len(before)


def test_a_claim_that_is_fetched_is_read_from_a_copy_and_still_holds_the_core(
    take: Take, claims: Claims, dump: Dump
) -> None:
    path = dump()
    content = path.read_bytes()
    chunks: list[None] = []

    fetched = claims.fetched(take(path), lambda: chunks.append(None))

    path.write_bytes(b"")
    assert os.pread(fetched.descriptor, 1 << 20, 0) == content
    assert chunks
    claims.finish(fetched, remove_original=True)
    assert names_in(path.parent) == []
    assert names_in(claims.incoming) == []


def test_a_claim_that_finds_no_room_for_its_copy_stands(tmp_path: Path, dump: Dump) -> None:
    claims = claims_in(tmp_path, no_room)
    claim = claims.take(candidate(dump()), DiscoveredBy.EVENT, copy=False)

    with pytest.raises(NoRoom):
        claims.fetched(claim, lambda: None)

    assert list(claims.noted()) == [claim.id]
    assert os.fstat(claim.descriptor).st_size > 0


def test_a_claim_is_finished_where_its_core_lies(take: Take, claims: Claims, dump: Dump) -> None:
    asked: list[Callable[[], None]] = []
    claim = replace(take(dump()), there=asked.append)

    claims.finish(claim, remove_original=True)
    assert list(claims.noted()) == [claim.id]

    for job in asked:
        job()
    assert list(claims.noted()) == []


def test_a_claim_tells_where_it_was_made(take: Take, claims: Claims, dump: Dump) -> None:
    path = dump()
    claim = take(path)

    assert claims.directory(claim.id) == str(path.parent)
    (claims.incoming / f"{claim.id}.claim").write_bytes(b"damaged")
    assert claims.directory(claim.id) is None
    assert claims.directory("another") is None


def test_a_packed_core_is_fetched_as_it_is_and_unpacked_from_there(claims: Claims, spool: Path) -> None:
    (spool / "core.zst").write_bytes(COMPRESS["zst"](DeadProcess().core()))
    taken = claims.take(candidate(spool / "core.zst"), DiscoveredBy.EVENT, copy=False)

    fetched = claims.fetched(taken, lambda: None)
    (spool / "core.zst").write_bytes(b"")
    claims.secure(fetched)

    assert os.pread(fetched.descriptor, 1 << 20, 0) == DeadProcess().core()
    assert names_in(claims.incoming) == [f"{fetched.id}.claim", f"{fetched.id}.core"]


@pytest.mark.parametrize(("room", "step"), [(ClaimFiles, "write"), (PrivateCopies, "give")])
def test_an_unpacked_core_whose_claim_cannot_be_noted_is_unpacked_again_later(
    claims: Claims, spool: Path, monkeypatch: pytest.MonkeyPatch, room: type, step: str
) -> None:
    core = DeadProcess().core()
    (spool / "core.zst").write_bytes(COMPRESS["zst"](core))
    claim = claims.take(candidate(spool / "core.zst"), DiscoveredBy.EVENT, copy=False)
    packed = claim.id

    def fail(*_: object) -> None:
        raise NoRoom("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(room, step, fail)
        with pytest.raises(NoRoom):
            claims.secure(claim)
    assert (claim.id, list(claims.noted())) == (packed, [packed])

    claims.secure(claim)

    assert claim.id != packed
    assert list(claims.noted()) == [claim.id]
    assert os.pread(claim.descriptor, len(core) + 1, 0) == core


@pytest.mark.parametrize("why", [errno.ENOSPC, errno.EIO, errno.EROFS])
def test_a_core_whose_directory_takes_no_second_name_is_copied(
    claims: Claims, dump: Dump, monkeypatch: pytest.MonkeyPatch, why: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(why, os.strerror(why))

    monkeypatch.setattr(os, "link", refuse)

    claim = claims.take(candidate(dump()), DiscoveredBy.EVENT, copy=False)

    assert claim.note.copied
    assert list(claims.noted()) == [claim.id]
