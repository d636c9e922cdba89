"""The redacted texts that go with a notification."""

from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.notify.attached_texts import read_attached_texts
from astbtd.notify.payload import LARGEST, to_json
from tests.support.notifications import crash_facts, crash_notification


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "report.txt").write_text('Asterisk crashed on pbx7\nsecret = 0x1 "hunter2"\n')
    (tmp_path / "log.txt").write_text('Executing [301@internal:1] Dial("PJSIP/alice-00000001")\n')
    (tmp_path / "full.txt").write_text("too much\n")
    (tmp_path / "core.zst").write_bytes(b"core")
    return tmp_path


def test_texts_are_redacted_as_in_a_bundle(directory: Path) -> None:
    texts = read_attached_texts(directory, "pbx7")

    assert list(texts) == ["report.txt", "log.txt"]
    assert "pbx7" not in texts["report.txt"]
    assert "hunter2" not in texts["report.txt"]
    assert "alice" not in texts["log.txt"]


def test_a_long_text_is_cut_after_a_line_so_that_no_secret_is_cut_out_of_its_form(directory: Path) -> None:
    line = 'password = "hunter2hunter2hunter2"\n'
    (directory / "thread1.txt").write_text(line * 100_000)

    texts = read_attached_texts(directory, "pbx7")

    assert texts["thread1.txt"].endswith("\n")
    assert "hunter2" not in texts["thread1.txt"]
    assert len(texts["thread1.txt"]) < 200_000


def test_all_texts_together_are_limited(directory: Path) -> None:
    for name in ("report.txt", "thread1.txt", "brief.txt", "info.txt", "locks.txt"):
        (directory / name).write_text("#0  main () at main.c:1\n" * 10_000)

    texts = read_attached_texts(directory, "pbx7")

    assert list(texts)[:2] == ["report.txt", "thread1.txt"]
    assert sum(map(len, texts.values())) <= 384 << 10


def test_the_spool_accepts_the_largest_texts_whatever_is_in_them(directory: Path) -> None:
    for name in ("report.txt", "thread1.txt", "brief.txt", "log.txt", "info.txt", "locks.txt"):
        (directory / name).write_text("\x01" * 100 + "\n")
        (directory / name).write_text((directory / name).read_text() * 2000)
    texts = read_attached_texts(directory, "pbx7")

    content = to_json(replace(crash_notification(), crash=replace(crash_facts(), texts=texts)))

    assert LARGEST / 2 < len(content) < LARGEST


def test_texts_that_were_removed_are_left_out(tmp_path: Path) -> None:
    assert read_attached_texts(tmp_path / "gone", "pbx7") == {}
