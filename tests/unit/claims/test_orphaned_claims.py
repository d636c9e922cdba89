"""Abandoned claim files and hard links are found, and removed only where no core is lost."""

from pathlib import Path

import pytest

from astbtd.claims.claim import Claim, Claims
from astbtd.claims.orphaned_claims import find_claim_files, find_links
from astbtd.model.crash import DiscoveredBy
from astbtd.sources.watched_directories import WatchedDirectory
from tests.support.finding import Queue, make_claims, make_finder
from tests.support.fixture_types import Dump


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return make_claims(tmp_path)


@pytest.fixture
def claim(claims: Claims, spool: Path, dump: Dump) -> Claim:
    """A claim of the core in the spool, which no process works on."""
    dump()
    queue = Queue()
    finder = make_finder(claims, queue)
    (claim,) = queue.add(finder.examine_entry(WatchedDirectory(str(spool)), "core", DiscoveredBy.EVENT))
    queue.close()
    return claim


def link(claim: Claim) -> Path:
    return Path(claim.record.directory, f".astbtd.{claim.id}")


@pytest.mark.usefixtures("claim")
def test_a_complete_claim_is_not_orphaned(claims: Claims, spool: Path) -> None:
    assert list(find_claim_files(claims.incoming)) == []
    assert list(find_links([str(spool)], list(claims.ids()), lambda _: False)) == []


def test_a_claim_file_whose_link_is_gone_is_removed(claim: Claim, claims: Claims) -> None:
    link(claim).unlink()

    (orphan,) = find_claim_files(claims.incoming)

    assert "is gone or another file" in orphan.problem
    assert orphan.remove is not None
    orphan.remove()
    assert list(claims.ids()) == []


def test_a_claim_file_whose_directory_is_missing_is_kept(claim: Claim, claims: Claims, spool: Path) -> None:
    assert claim.record.directory == str(spool)
    spool.rename(spool.with_name("unmounted"))

    assert list(find_claim_files(claims.incoming)) == []


def test_an_incomplete_claim_file_is_removed(claim: Claim, claims: Claims) -> None:
    (claims.incoming / f"{claim.id}.claim").write_bytes(b"{")

    (orphan,) = find_claim_files(claims.incoming)

    assert "never completed" in orphan.problem


def test_a_claim_that_is_being_processed_is_ignored(claim: Claim, claims: Claims) -> None:
    resumed = claims.resume(claim.id)
    assert resumed is not None
    link(claim).unlink()

    assert list(find_claim_files(claims.incoming)) == []
    resumed.close()


def test_a_link_without_a_claim_file_is_removed_if_the_core_has_its_name(claim: Claim, spool: Path) -> None:
    (orphan,) = find_links([str(spool)], [], lambda _: False)

    assert orphan.path == link(claim)
    assert orphan.remove is not None
    orphan.remove()
    assert [path.name for path in spool.iterdir()] == ["core"]


@pytest.mark.parametrize("is_stored", [True, False])
def test_the_only_name_of_a_core_is_removed_only_if_the_core_is_stored(
    claim: Claim, spool: Path, is_stored: bool
) -> None:
    (spool / "core").unlink()

    (orphan,) = find_links([str(spool), str(spool / "missing")], [], lambda _: is_stored)

    assert orphan.path == link(claim)
    assert (orphan.remove is not None) is is_stored


def test_other_files_are_not_links_of_claims(spool: Path) -> None:
    (spool / ".astbtd.directory").mkdir()
    (spool / ".astbtd.unknown").touch()
    (spool / "core").touch()

    assert list(find_links([str(spool)], [], lambda _: False)) == []
