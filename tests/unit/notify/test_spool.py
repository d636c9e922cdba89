"""The spool: what is committed is there, once; what is not committed is not there."""

from pathlib import Path

import pytest

from astbtd.errors import AstbtdError
from astbtd.notify.spool import DamagedEntry, Spool
from tests.support.notifications import message_notification


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    made = Spool(tmp_path / "spool")
    made.prepare(0)
    return made


class Killed(BaseException):
    """The process ends here."""


def killed() -> None:
    raise Killed


def subjects(spool: Spool) -> list[str]:
    entries = [spool.read(name) for name in spool.names()]
    return [entry.notification.message.subject for entry in entries if entry and entry.notification.message]


def test_notifications_wait_in_the_order_in_which_they_were_committed(spool: Spool) -> None:
    spool.commit(1, [message_notification(subject=each) for each in ("a", "b")], lambda: None)
    spool.commit(2, [message_notification(subject="c")], lambda: None)

    assert subjects(spool) == ["a", "b", "c"]


def test_a_pass_that_is_killed_before_its_state_is_saved_leaves_nothing(spool: Spool) -> None:
    with pytest.raises(Killed):
        spool.commit(1, [message_notification()], killed)

    spool.prepare(0)

    assert spool.names() == []
    spool.commit(1, [message_notification(subject="again")], lambda: None)
    assert subjects(spool) == ["again"]


def test_a_pass_that_is_killed_after_its_state_is_saved_is_completed(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Spool, "_finish", lambda *_: killed())
        with pytest.raises(Killed):
            spool.commit(1, [message_notification(subject="a")], lambda: None)
    assert spool.names() == []

    spool.prepare(1)

    assert subjects(spool) == ["a"]


def test_a_damaged_entry_is_an_error_and_a_removed_one_is_none(spool: Spool) -> None:
    spool.commit(1, [message_notification(), message_notification()], lambda: None)
    damaged, removed = spool.names()
    (spool.root / "waiting" / damaged).write_text("{")
    spool.remove([removed])

    with pytest.raises(AstbtdError, match="not a notification"):
        spool.read(damaged)
    assert spool.read(removed) is None


def test_a_link_is_not_followed(spool: Spool) -> None:
    (spool.root / "waiting" / "0000000001-000000.json").symlink_to("/etc/passwd")

    with pytest.raises(DamagedEntry, match="cannot read"):
        spool.read("0000000001-000000.json")


def test_what_waits_can_be_read_by_the_networked_unit_and_the_rest_not(spool: Spool) -> None:
    spool.commit(1, [message_notification()], lambda: None)

    (name,) = spool.names()
    assert (spool.root / "waiting" / name).stat().st_mode & 0o777 == 0o644
    assert (spool.root / "waiting").stat().st_mode & 0o777 == 0o755
    assert (spool.root / "staged").stat().st_mode & 0o777 == 0o700
