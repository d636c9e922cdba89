"""A claim that this process holds, but that the worker does not have, is released for the next scan to resume."""

from pathlib import Path

import pytest

from astbtd.claims.claim import AlreadyClaimed, Claim, Claims
from astbtd.claims.core_filter import Candidate, examine
from astbtd.daemon.claim_accounting import ClaimAccounting
from astbtd.daemon.worker import Worker
from astbtd.model.crash import DiscoveredBy
from tests.support.builders import DeadProcess
from tests.support.finding import make_claims


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return make_claims(tmp_path)


@pytest.fixture
def claim(claims: Claims, tmp_path: Path) -> Claim:
    (tmp_path / "core").write_bytes(DeadProcess().core())
    found = examine(str(tmp_path), "core", None)
    assert isinstance(found, Candidate)
    return claims.claim_core(found, DiscoveredBy.EVENT, copy=False)


def test_a_claim_that_the_worker_has_is_left_alone(claims: Claims, claim: Claim) -> None:
    worker = Worker(lambda: None)
    worker.submit(claim)
    accounting = ClaimAccounting(worker, lambda _: True)

    assert [accounting.recover(claims) for _ in range(3)] == [[], [], []]

    claim.close()


def test_a_claim_that_is_found_forgotten_twice_is_released_so_that_it_can_be_resumed(
    claims: Claims, claim: Claim
) -> None:
    accounting = ClaimAccounting(Worker(lambda: None), lambda _: True)

    assert accounting.recover(claims) == []
    with pytest.raises(AlreadyClaimed):
        claims.resume(claim.id)
    (sentence,) = accounting.recover(claims)

    assert claim.id in sentence
    resumed = claims.resume(claim.id)
    assert resumed is not None
    resumed.close()
    assert accounting.recover(claims) == []


def test_a_claim_on_a_remote_mount_may_be_on_its_way(claims: Claims, claim: Claim) -> None:
    accounting = ClaimAccounting(Worker(lambda: None), lambda _: False)

    assert [accounting.recover(claims) for _ in range(3)] == [[], [], []]

    claim.close()
