"""The search claims each core once, sees what is being written to its end, and notices what is moved or lost."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from astbtd.claims.claim import AlreadyClaimed, Claim, Claims
from astbtd.claims.finder import CoreFinder, RenamedCore
from astbtd.claims.unpack import Unpacker
from astbtd.elf.core_notes import file_identity
from astbtd.model.crash import CoreAction, CoreFacts, DiscoveredBy, Source
from astbtd.settings import UnpackingSettings
from astbtd.sources import core_pattern
from astbtd.sources.collectors.systemd_coredump import SystemdCoredump
from astbtd.sources.spot import WatchedDirectory
from tests.support.builders import DeadProcess
from tests.support.fixture_types import Dump
from tests.support.packed import COMPRESS


@dataclass
class Seen:
    """A search in a spool, and what it told."""

    search: CoreFinder
    spot: WatchedDirectory
    claims: list[Claim] = field(default_factory=list)
    moves: list[RenamedCore] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)
    collected: set[str] = field(default_factory=set)

    def look(self, name: str, found: DiscoveredBy = DiscoveredBy.EVENT) -> list[Claim]:
        """What the search claims when told of a name."""
        claims = list(self.search.look(self.spot, name, found))
        self.claims += claims
        return claims

    def scan(self) -> list[Claim]:
        """What it claims when it looks at all."""
        return [claim for name in self.search.entries(self.spot) for claim in self.look(name, DiscoveredBy.SCAN)]

    def facts(self, name: str) -> CoreFacts:
        """The facts of the one core that is claimed when the search is told of a name."""
        (claim,) = self.look(name)
        return claim.note.facts


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    (tmp_path / "incoming").mkdir()
    return Claims(tmp_path / "incoming", -1, Unpacker(UnpackingSettings(), lambda _: None, lambda: None))


Searching = Callable[..., Seen]


@pytest.fixture
def searching(claims: Claims, spool: Path) -> Iterator[Searching]:
    """Makes searches in the spool, which are closed at the end."""
    made: list[Seen] = []

    def make(action: CoreAction = CoreAction.MOVE, **spot: object) -> Seen:
        seen = Seen.__new__(Seen)
        search = CoreFinder(
            claims,
            lambda identities: seen.collected.intersection(identities),
            ("asterisk",),
            action,
            lambda path, reason: seen.refused.append((path, reason)),
            lambda move: seen.moves.append(move),
        )
        seen.__init__(search, WatchedDirectory(str(spool), **spot))  # type: ignore[misc, arg-type]
        made.append(seen)
        return seen

    yield make
    for each in made:
        each.search.unfinished.close()
        for claim in each.claims:
            claim.close()


@pytest.fixture
def seen(searching: Searching) -> Seen:
    """A search in the spool."""
    return searching()


def test_a_core_is_claimed_once_however_often_it_is_looked_at(seen: Seen, dump: Dump) -> None:
    dump()

    assert len(seen.look("core")) == 1
    assert seen.look("core") == seen.scan() == []
    assert seen.moves == []


def test_a_core_that_was_collected_before_is_not_claimed(seen: Seen, dump: Dump) -> None:
    dump()
    seen.collected.add(seen.facts("core").identity)
    (Path(seen.spot.directory) / "again").write_bytes(DeadProcess().core())

    assert seen.look("again") == []


def test_a_core_that_is_written_is_held_and_claimed_when_it_is_complete(seen: Seen, dump: Dump) -> None:
    path = dump()
    with path.open("ab"):
        assert seen.look("core") == []
        assert [held.path for held in seen.search.unfinished.all()] == [str(path)]

    (held,) = seen.search.unfinished.all()
    (claim,) = seen.search.look_again(held)

    seen.claims.append(claim)
    assert not seen.search.unfinished


def test_a_core_that_lost_its_name_while_it_was_written_is_claimed_all_the_same(seen: Seen, dump: Dump) -> None:
    path = dump()
    with path.open("ab"):
        seen.look("core")
        path.unlink()

    (claim,) = seen.look("core")
    seen.search.claims.secure(claim)

    assert os.pread(claim.descriptor, 1 << 20, 0) == DeadProcess().core()


def test_a_core_and_the_next_one_under_its_name_are_both_claimed(seen: Seen, dump: Dump) -> None:
    with dump().open("ab"):
        seen.look("core")
        (Path(seen.spot.directory) / "core").unlink()
        dump(DeadProcess(pid=5000))

    assert {claim.note.facts.process.pid for claim in seen.look("core")} == {4242, 5000}


def test_a_claimed_core_under_a_new_name_is_a_move(seen: Seen, dump: Dump, spool: Path) -> None:
    path = dump()
    crash_id = seen.facts("core").crash_id
    path.rename(spool / "core.pbx-2026")

    assert seen.look("core.pbx-2026") == seen.scan() == []
    assert seen.moves == [
        RenamedCore(crash_id, str(spool), "core.pbx-2026", file_identity((spool / "core.pbx-2026").stat()))
    ]


def test_a_copy_of_a_claimed_core_is_a_move_to_look_into(seen: Seen, dump: Dump, spool: Path) -> None:
    path = dump()
    crash_id = seen.facts("core").crash_id
    (spool / "copy").write_bytes(path.read_bytes())
    os.utime(spool / "copy", ns=(0, path.stat().st_mtime_ns))

    assert seen.look("copy") == []
    assert seen.moves == [RenamedCore(crash_id, str(spool), "copy")]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_compressed_core_is_claimed_and_unpacked_before_its_work_begins(seen: Seen, spool: Path, suffix: str) -> None:
    (spool / f"core.{suffix}").write_bytes(COMPRESS[suffix](DeadProcess().core()))
    (claim,) = seen.look(f"core.{suffix}")

    seen.search.claims.secure(claim)

    assert os.pread(claim.descriptor, 1 << 20, 0) == DeadProcess().core()
    assert claim.id == claim.note.facts.crash_id
    assert claim.note.packed
    assert os.listdir(spool) == [f"core.{suffix}"]


def test_a_core_is_claimed_once_plain_or_compressed(
    searching: Searching, dump: Dump, spool: Path, claims: Claims
) -> None:
    dump()
    (spool / "core.xz").write_bytes(COMPRESS["xz"](DeadProcess().core()))
    plain = searching().facts("core")
    (packed,) = searching().look("core.xz")

    with pytest.raises(AlreadyClaimed, match=plain.crash_id):
        claims.secure(packed)


@pytest.mark.parametrize("remove", [True, False])
def test_a_compressed_core_is_removed_with_its_claim_if_it_is_ours(seen: Seen, spool: Path, remove: bool) -> None:
    (spool / "core.zst").write_bytes(COMPRESS["zst"](DeadProcess().core()))
    (claim,) = seen.look("core.zst")
    seen.search.claims.secure(claim)
    seen.claims.clear()

    seen.search.claims.finish(claim, remove_original=remove)

    assert os.listdir(spool) == ([] if remove else ["core.zst"])
    assert os.listdir(seen.search.claims.incoming) == []


def test_what_a_collector_keeps_is_never_removed(searching: Searching, spool: Path) -> None:
    name = f"core.asterisk.110.{'0f' * 16}.4242.1.zst"
    (spool / name).write_bytes(COMPRESS["zst"](DeadProcess().core()))
    seen = searching(plain=False, collector=SystemdCoredump())
    (claim,) = seen.look(name)
    seen.search.claims.secure(claim)
    seen.claims.clear()

    seen.search.claims.finish(claim, remove_original=True)

    assert claim.note.source is Source.SYSTEMD_COREDUMP
    assert os.listdir(spool) == [name]


def test_beside_a_collectors_files_others_are_cores_where_the_kernel_writes_too(
    searching: Searching, dump: Dump
) -> None:
    dump(name="core")

    assert searching(plain=False, collector=SystemdCoredump()).look("core") == []
    (claim,) = searching(plain=True, collector=SystemdCoredump()).look("core")
    assert claim.note.source is Source.FILE


@pytest.fixture
def fleeting(searching: Searching) -> Seen:
    """A search in a directory that does not last."""
    return searching(fleeting=core_pattern.parse("/tmp/core-%e-%t"))


def test_a_core_is_held_from_before_its_first_byte_where_nothing_lasts(fleeting: Seen, spool: Path) -> None:
    path = spool / "core-asterisk-1"
    with path.open("wb") as dumping:
        assert fleeting.look(path.name) == []
        path.unlink()
        dumping.write(DeadProcess().core())

    (claim,) = fleeting.look(path.name)

    assert claim.note.copied
    assert fleeting.look(path.name) == []


def test_a_core_that_was_never_seen_where_nothing_lasts_is_a_loss(fleeting: Seen, claims: Claims, spool: Path) -> None:
    (claim,) = fleeting.look("core-asterisk-1")

    assert claim.note.loss is not None
    assert "PrivateTmp=no" in claim.note.loss.remedy
    assert claim.note.path == str(spool / "core-asterisk-1")
    assert list(claims.noted()) == [claim.id]
    assert fleeting.look("core-asterisk-1") == []


def test_other_files_that_come_and_go_are_no_loss(fleeting: Seen, seen: Seen) -> None:
    assert fleeting.look("upload-1") == fleeting.look("core-asterisk-2", DiscoveredBy.SCAN) == seen.look("core") == []


def test_a_loss_is_still_known_after_a_restart(fleeting: Seen, claims: Claims) -> None:
    (claim,) = fleeting.look("core-asterisk-1")
    claims.park(claim)
    fleeting.claims.clear()

    (resumed,) = fleeting.search.left_claims(lambda _: True)

    fleeting.claims.append(resumed)
    assert resumed.note == claim.note


def interrupted(seen: Seen, name: str) -> None:
    """The claim on a core whose copy was not made when the daemon was killed; then a new daemon starts."""
    (claim,) = seen.look(name)
    claim.close()
    seen.claims.clear()


@pytest.mark.parametrize("removed", [True, False])
def test_a_core_that_went_before_it_was_copied_is_a_loss(searching: Searching, dump: Dump, removed: bool) -> None:
    path = dump()
    interrupted(searching(action=CoreAction.LEAVE), "core")
    if removed:
        path.unlink()
    seen = searching(action=CoreAction.LEAVE)

    assert list(seen.search.left_claims(lambda _: True)) == []
    forgotten = seen.search.forget_lost_claims()
    found_again = seen.scan()
    losses = list(seen.search.losses(forgotten))

    seen.claims += losses
    assert [claim.note.facts.process.pid for claim in losses] == ([4242] if removed else [])
    assert len(found_again) == (0 if removed else 1)


def test_a_core_that_was_to_be_copied_from_where_nobody_looks_for_cores_and_is_still_there_is_no_loss(
    searching: Searching, dump: Dump
) -> None:
    dump()
    interrupted(searching(action=CoreAction.LEAVE), "core")
    seen = searching(action=CoreAction.LEAVE)

    assert list(seen.search.left_claims(lambda _: True)) == []
    assert list(seen.search.losses(seen.search.forget_lost_claims())) == []


def test_a_compressed_core_that_is_still_there_is_no_loss(searching: Searching, spool: Path) -> None:
    (spool / "core.zst").write_bytes(COMPRESS["zst"](DeadProcess().core()))
    interrupted(searching(), "core.zst")
    seen = searching()

    assert list(seen.search.left_claims(lambda _: True)) == []
    forgotten = seen.search.forget_lost_claims()

    assert len(seen.scan()) == 1
    assert list(seen.search.losses(forgotten)) == []


def test_a_core_for_which_there_is_no_room_is_left_as_it_is_until_there_is(seen: Seen, dump: Dump) -> None:
    path = dump()
    seen.search.room = lambda found: found is DiscoveredBy.EVENT

    assert seen.scan() == []
    assert seen.search.postponed
    assert path.stat().st_nlink == 1
    seen.search.room = lambda _: True
    assert len(seen.scan()) == 1


def test_of_a_core_that_was_just_written_more_may_wait(seen: Seen, dump: Dump) -> None:
    dump()
    seen.search.room = lambda found: found is DiscoveredBy.EVENT

    assert len(seen.look("core", DiscoveredBy.EVENT)) == 1
    assert not seen.search.postponed
