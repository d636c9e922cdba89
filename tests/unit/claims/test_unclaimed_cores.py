"""A core that could not be claimed is known to be lost once its file is gone or another one."""

import os
from pathlib import Path

import pytest

from astbtd.claims import unclaimed_cores
from astbtd.claims.core_filter import Candidate, examine
from astbtd.claims.unclaimed_cores import UnclaimedCores
from astbtd.model.crash import DiscoveredBy
from tests.support.builders import DeadProcess


def add(cores: UnclaimedCores, directory: Path, pid: int = 4242, owner: int = -1) -> str:
    """Write a core and remember it as unclaimed; return its identity."""
    (directory / "core").unlink(missing_ok=True)
    (directory / "core").write_bytes(DeadProcess(pid=pid).core())
    os.chown(directory / "core", owner, -1)
    found = examine(str(directory), "core", None)
    assert isinstance(found, Candidate)
    cores.add(found, DiscoveredBy.EVENT, "the disk is full", foreign=False)
    os.close(found.descriptor)
    return found.facts.identity


def lost(cores: UnclaimedCores) -> list[str]:
    """Check twice, as after two scans."""
    cores.replaced(lambda _: False)
    return [record.facts.identity for record in cores.replaced(lambda _: False)]


def test_a_core_that_is_still_there_is_not_lost(tmp_path: Path) -> None:
    cores = UnclaimedCores()
    add(cores, tmp_path)

    assert lost(cores) == []


def test_a_core_that_was_replaced_or_removed_is_lost_with_the_reason(tmp_path: Path) -> None:
    cores = UnclaimedCores()
    first = add(cores, tmp_path, pid=1)
    second = add(cores, tmp_path, pid=2)
    assert lost(cores) == [first]

    (tmp_path / "core").unlink()

    assert lost(cores) == [first, second]
    (record, _) = cores.replaced(lambda _: False)
    assert record.loss is not None
    assert "the disk is full" in record.loss.reason
    assert "core_pattern" in record.loss.remedy
    assert (cores.is_first_report(record), cores.is_first_report(record)) == (True, False)


def test_a_core_that_is_missing_once_may_have_been_renamed_during_the_scan(tmp_path: Path) -> None:
    cores = UnclaimedCores()
    add(cores, tmp_path)
    renamed = (tmp_path / "core").rename(tmp_path / "core.renamed")

    assert cores.replaced(lambda _: False) == []

    cores.follow(renamed.stat(), str(tmp_path), renamed.name)
    assert lost(cores) == []


def test_a_core_that_was_renamed_is_lost_when_it_is_gone_from_there(tmp_path: Path) -> None:
    cores = UnclaimedCores()
    add(cores, tmp_path)
    renamed = (tmp_path / "core").rename(tmp_path / "core.renamed")
    cores.follow(renamed.stat(), str(tmp_path), renamed.name)
    renamed.unlink()

    lost(cores)

    (record,) = cores.replaced(lambda _: False)
    assert record.path == str(renamed)


def test_another_file_is_not_taken_for_a_core_that_was_renamed(tmp_path: Path) -> None:
    cores = UnclaimedCores()
    first = add(cores, tmp_path)
    other = tmp_path / "other"
    other.write_bytes(DeadProcess().core())
    (tmp_path / "core").unlink()

    cores.follow(other.stat(), str(tmp_path), other.name)

    assert lost(cores) == [first]


def test_a_core_that_was_claimed_under_another_name_is_not_lost(tmp_path: Path) -> None:
    cores = UnclaimedCores()
    claimed = add(cores, tmp_path)
    (tmp_path / "core").unlink()

    assert cores.replaced(lambda identities: claimed in identities) == []
    assert lost(cores) == []


def test_only_some_cores_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unclaimed_cores, "_MAX_UNCLAIMED", 2)
    cores = UnclaimedCores()
    identities = [add(cores, tmp_path, pid) for pid in (1, 2, 3)]
    (tmp_path / "core").unlink()

    assert lost(cores) == identities[1:]


@pytest.mark.skipif(os.geteuid() != 0, reason="creates files of other users")
def test_the_files_of_one_user_do_not_make_us_forget_those_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unclaimed_cores, "_MAX_OF_OWNER", 3)
    cores = UnclaimedCores()
    of_pbx = add(cores, tmp_path, pid=1)
    of_others = [add(cores, tmp_path, pid, owner=65534) for pid in range(2, 10)]
    (tmp_path / "core").unlink()

    assert lost(cores) == [of_pbx, *of_others[-3:]]
