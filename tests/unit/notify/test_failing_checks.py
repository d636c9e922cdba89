"""The checks that fail, as the daemon has published them."""

import json
from pathlib import Path

import pytest

from astbtd.lib.serialization import to_plain
from astbtd.model.daemon_state import DaemonState, FailedCheck
from astbtd.notify.failing_checks import FailingChecks, read_checks
from tests.support.builders import NOON

STATE = DaemonState(0, False, 0, False, (FailedCheck("core_limit", "0 for user alice", "raise it"),))


def read(directory: Path, content: str) -> FailingChecks | None:
    (directory / "daemon").write_text(content)
    return read_checks({"CREDENTIALS_DIRECTORY": str(directory)}, NOON, "pbx7")


def test_each_check_that_fails_is_an_event_with_its_remedy(tmp_path: Path) -> None:
    checks = read(tmp_path, json.dumps(to_plain(STATE)))

    assert checks
    assert checks.names == ("core_limit",)
    assert checks.events[0].title == "The next crash will not give a usable backtrace: core_limit"
    assert "raise it" in checks.events[0].body


@pytest.mark.parametrize("content", ["", "{", "[]", '{"queued": 0, "more": false, "crash_loops": 0, "usable": null}'])
def test_what_is_not_known_is_not_the_same_as_no_failure(tmp_path: Path, content: str) -> None:
    assert read(tmp_path, content) is None
    assert read(tmp_path, json.dumps(to_plain(DaemonState(0, False, 0, True, ())))) == FailingChecks()


def test_without_a_daemon_nothing_is_known(tmp_path: Path) -> None:
    assert read_checks({"CREDENTIALS_DIRECTORY": str(tmp_path)}, NOON, "pbx7") is None
