"""The journal, and astbtd's own unit."""

import pytest

from astbtd.readiness.checks.services import astbtd_unit, journal
from astbtd.readiness.facts import Unit
from astbtd.readiness.result import State
from tests.support.readiness_facts import remedy, told, unit


def own(**properties: str) -> Unit:
    running = {"LoadState": "loaded", "ActiveState": "active", "UnitFileState": "enabled"}
    return unit("astbtd.service", **(running | properties))


def test_a_journal_that_outlives_a_reboot() -> None:
    assert told(journal(True)) == (State.OK, "persistent")


def test_a_journal_that_does_not() -> None:
    check = journal(False)

    assert check.state is State.WARNING
    assert r"printf '[Journal]\nStorage=persistent\n' >/etc/systemd/journald.conf.d/" in remedy(check)


def test_it_runs_and_sees_every_place() -> None:
    check = astbtd_unit(own(), ["/var/lib/asterisk", "/tmp"])

    assert told(check) == (State.OK, "astbtd.service runs and sees /var/lib/asterisk, /tmp")


@pytest.mark.parametrize(
    ("setting", "value", "place"),
    [
        ("ProtectHome", "yes", "/home/pbx"),
        ("ProtectHome", "tmpfs", "/root"),
        ("PrivateTmp", "yes", "/tmp/asterisk"),
        ("PrivateTmp", "disconnected", "/var/tmp"),
        ("InaccessiblePaths", "-/srv /opt", "/srv/pbx"),
        ("TemporaryFileSystem", "/srv", "/srv"),
    ],
)
def test_a_place_that_its_sandbox_hides(setting: str, value: str, place: str) -> None:
    check = astbtd_unit(own(**{setting: value}), [place])

    assert told(check) == (State.FAILED, f"{setting}={value} hides {place} from astbtd.service")
    assert remedy(check).startswith(f"systemctl edit astbtd.service and add [Service] {setting}=")


@pytest.mark.parametrize(
    ("setting", "value", "place"),
    [
        ("ProtectHome", "read-only", "/home/pbx"),  # a core that may only be read is copied
        ("ProtectHome", "yes", "/homes"),
        ("PrivateTmp", "no", "/tmp"),
        ("InaccessiblePaths", "/srv/other", "/srv/pbx"),
    ],
)
def test_a_place_that_its_sandbox_leaves_visible(setting: str, value: str, place: str) -> None:
    assert astbtd_unit(own(**{setting: value}), [place]).state is State.OK


@pytest.mark.parametrize(
    ("properties", "helps"),
    [
        ({"LoadState": "not-found"}, "make install"),
        ({"ActiveState": "inactive"}, "systemctl enable --now astbtd.service"),
        ({"ActiveState": "failed"}, "systemctl enable --now astbtd.service"),
        ({"UnitFileState": "disabled"}, "systemctl enable astbtd.service"),
    ],
)
def test_a_service_that_does_not_run_or_not_for_long(properties: dict[str, str], helps: str) -> None:
    check = astbtd_unit(own(**properties), [])

    assert (check.state, remedy(check)) == (State.WARNING, helps)
