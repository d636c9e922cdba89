"""log.txt: what Asterisk and its unit logged before a crash, read with the rights of Asterisk's user."""

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from astbtd.announce.journald_socket import JournalUnavailable
from astbtd.extraction.sandbox_command import SandboxUser
from astbtd.lib import subprocesses
from astbtd.pipeline.crash_log import LogReader, last_lines, read_asterisk_log, read_unit_journal, unit_journal
from astbtd.settings import AsteriskSettings, ExtractSettings, Settings
from tests.support.builders import facts
from tests.support.cli_types import NOBODY
from tests.support.harness import scratch_directory

CRASH = datetime(2026, 11, 29, 3, 12, 5, tzinfo=UTC)
PRIVATE = "root:$y$j9T$secret"
ATTACKER = SandboxUser(NOBODY, NOBODY, switched=True)

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.delenv("TZ")
    time.tzset()


@pytest.fixture
def directory() -> Iterator[Path]:
    """The directory of Asterisk's configuration and logs. It belongs to the attacker, as all in it."""
    with scratch_directory() as directory:
        (directory / "asterisk.conf").write_text(f"[directories]\nastlogdir => {directory}\n")
        (directory / "logger.conf").write_text("[logfiles]\nfull => notice,warning,error,verbose\n")
        for path in (directory, *directory.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        yield directory


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the program that reads logs is asked for."""
    requests: list[str] = []
    output = subprocesses.output

    def record(argv: Sequence[str], **given: Any) -> tuple[subprocesses.Finished, str]:
        requests.append(next(word for word in argv if word in ("paths", "tail")))
        return output(argv, **given)

    monkeypatch.setattr(subprocesses, "output", record)
    return requests


def write_log(directory: Path, text: str) -> Path:
    log = directory / "full"
    log.write_text(text)
    os.chown(log, NOBODY, NOBODY)
    log.chmod(0o600)
    return log


def read(directory: Path, lines: int = 200) -> str:
    return LogReader(ATTACKER, directory / "asterisk.conf", lines).asterisk_log(CRASH)


def test_the_log_of_asterisks_user_is_read_with_that_users_rights(directory: Path) -> None:
    log = write_log(directory, "[Nov 29 03:12:04] NOTICE[7] a.c: first\n[Nov 29 03:12:05] ERROR[7] a.c: last\n")

    assert read(directory) == (
        f"Asterisk's log {log}, the last lines before 2026-11-29 03:12:05 UTC:\n"
        "[Nov 29 03:12:04] NOTICE[7] a.c: first\n[Nov 29 03:12:05] ERROR[7] a.c: last\n"
    )


def set_logs(directory: Path, names: str) -> None:
    """Let Asterisk log to these files."""
    (directory / "logger.conf").write_text("[logfiles]\n" + "".join(f"{name} => notice\n" for name in names.split()))


def test_the_list_of_logs_is_read_again_when_it_was_changed(directory: Path, asked: list[str]) -> None:
    write_log(directory, "[Nov 29 03:12:04] NOTICE[7] a.c: in full\n").rename(directory / "other")
    set_logs(directory, "other")
    assert "in full" in read(directory)
    assert "in full" in read(directory)
    assert asked == ["paths", "tail", "tail"]

    set_logs(directory, "nothing")
    assert read(directory) == ""
    assert asked[3:] == ["paths", "tail"]


def test_a_list_of_logs_that_cannot_be_read_is_read_by_the_next_call(
    directory: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_log(directory, "[Nov 29 03:12:04] NOTICE[7] a.c: in full\n")
    with monkeypatch.context() as broken:
        broken.setattr(sys, "executable", "/nonexistent/python")
        assert read(directory) == ""

    assert "in full" in read(directory)
    assert asked == ["paths", "paths", "tail"]


def plant_link_to_shadow(log: Path, _: Path) -> None:
    log.symlink_to("/etc/shadow")


def plant_hard_link(log: Path, secret: Path) -> None:
    log.hardlink_to(secret)


def plant_file_of_root(log: Path, secret: Path) -> None:
    log.write_bytes(secret.read_bytes())
    log.chmod(0o600)


def plant_fifo(log: Path, _: Path) -> None:
    os.mkfifo(log)


def plant_link_as_configuration(log: Path, secret: Path) -> None:
    configuration = log.with_name("logger.conf")
    configuration.unlink()
    configuration.symlink_to(secret)


def plant_secret_as_path(log: Path, secret: Path) -> None:
    log.with_name("logger.conf").write_text(f"[logfiles]\n{secret} => notice,warning\n")


@pytest.mark.parametrize(
    "plant",
    [
        plant_link_to_shadow,
        plant_hard_link,
        plant_file_of_root,
        plant_fifo,
        plant_link_as_configuration,
        plant_secret_as_path,
    ],
)
def test_nothing_that_only_root_may_read_gets_into_it(directory: Path, plant: Callable[[Path, Path], None]) -> None:
    secret = directory / "secret"
    secret.write_text(f"{PRIVATE}\n[logfiles]\n/etc/shadow => notice\n")
    secret.chmod(0o600)
    plant(directory / "full", secret)

    assert read(directory) == ""


def test_a_log_that_is_replaced_during_the_reading_gives_nothing_of_root(directory: Path) -> None:
    """The attacker exchanges the log and a link to a file of root as fast as possible."""
    secret = directory / "secret"
    secret.write_text(f"{PRIVATE}\n")
    secret.chmod(0o600)
    log = write_log(directory, "harmless\n")
    ended = threading.Event()

    def exchange() -> None:
        while not ended.is_set():
            for target in (secret, directory / "harmless"):
                link = directory / "link"
                link.symlink_to(target)
                os.rename(link, log)
            log.unlink()
            write_log(directory, "harmless\n")

    attacker = threading.Thread(target=exchange)
    attacker.start()
    try:
        texts = [read(directory) for _ in range(20)]
    finally:
        ended.set()
        attacker.join()

    assert not any(PRIVATE in text for text in texts)


def test_a_huge_line_is_shortened(directory: Path) -> None:
    write_log(directory, "x" * (4 << 20) + "\nlast\n")

    text = read(directory)

    assert len(text) < 4000
    assert text.endswith("more characters)\nlast\n")


def test_control_characters_are_escaped(directory: Path) -> None:
    write_log(directory, "\x1b[2J\u202egnp\n")

    assert r"\x1b[2J\u202egnp" in read(directory)


def test_what_was_logged_after_the_crash_is_left_out() -> None:
    text = (
        "[Nov 29 03:12:04] before\n  and its second line\n"
        "[Nov 29 03:12:30] Asterisk 22 started again\n  and more\n[2026-11-29 03:12:03.123] late\n"
    )

    assert last_lines(text, CRASH, 10) == [
        "[Nov 29 03:12:04] before",
        "  and its second line",
        "[2026-11-29 03:12:03.123] late",
    ]


def test_the_last_lines_count() -> None:
    assert last_lines("1\n2\n3\n", CRASH, 2) == ["2", "3"]


def test_december_before_a_crash_in_january_is_before_it() -> None:
    crash = datetime(2027, 1, 1, 0, 0, 10, tzinfo=UTC)

    assert last_lines("[Dec 31 23:59:59] before\n[Jan  1 00:00:11] after\n", crash, 9) == ["[Dec 31 23:59:59] before"]


def test_the_units_journal_is_read_up_to_the_crash() -> None:
    asked: list[tuple[Sequence[Mapping[str, str]], float, int]] = []

    def entries(queries: Sequence[Mapping[str, str]], until: float, count: int) -> Iterable[Mapping[str, object]]:
        asked.append((queries, until, count))
        moment = CRASH - timedelta(seconds=1)
        return [{"__REALTIME_TIMESTAMP": moment, "SYSLOG_IDENTIFIER": "asterisk", "MESSAGE": "one\ntwo\x1b"}]

    text = unit_journal("asterisk.service", CRASH, 5, entries)

    assert text == (
        "The journal of asterisk.service, the last lines before 2026-11-29 03:12:05 UTC:\n"
        "2026-11-29 03:12:04 asterisk: one two\\x1b\n"
    )
    [(queries, until, count)] = asked
    assert ({"_SYSTEMD_UNIT": "asterisk.service"} in queries, until, count) == (True, CRASH.timestamp(), 5)


def test_without_a_journal_there_is_no_text_of_it() -> None:
    def entries(_: Sequence[Mapping[str, str]], __: float, ___: int) -> Iterable[Mapping[str, object]]:
        raise JournalUnavailable("it is down")

    assert unit_journal("asterisk.service", CRASH, 5, entries) == ""


def test_the_setting_turns_it_off(directory: Path) -> None:
    write_log(directory, "a line\n")
    of_crash = replace(facts(), crashed_at=CRASH, process=replace(facts().process, uid=NOBODY, gid=NOBODY))
    settings = Settings(asterisk=AsteriskSettings(configuration=str(directory / "asterisk.conf")))
    off = replace(settings, extract=ExtractSettings(log=0))

    assert "a line" in read_asterisk_log(settings, of_crash, ATTACKER)
    assert read_asterisk_log(off, of_crash, ATTACKER) == ""
    assert read_unit_journal(off, of_crash, "asterisk.service") == ""


def test_a_log_that_begins_after_the_crash_does_not_count(directory: Path) -> None:
    write_log(directory, "[Nov 29 03:12:06] NOTICE[7] a.c: after\n")
    earlier = directory / "messages"
    earlier.write_text("[Nov 29 03:12:04] NOTICE[7] a.c: before\n")
    os.chown(earlier, NOBODY, NOBODY)

    assert read(directory).splitlines()[1:] == ["[Nov 29 03:12:04] NOTICE[7] a.c: before"]
    assert read(directory).startswith(f"Asterisk's log {earlier}, ")
