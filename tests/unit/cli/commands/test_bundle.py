"""`astbtd bundle`: texts for an issue tracker, never a core."""

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from astbtd.html import template
from astbtd.model.crash import KEPT_CORE_FILE, Crash
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.cli_types import Keep, Run

BACKTRACE = b'#0  dial (uri=0x7f12 "sip:alice@192.0.2.7") at app_dial.c:7\n'


@pytest.fixture
def kept(keep: Keep) -> Crash:
    """A crash with its texts, its core, and two files that do not belong there."""
    directory = keep(crash(), backtrace=BACKTRACE, unknown=b"not ours")
    (directory / KEPT_CORE_FILE).write_bytes(b"memory")
    (directory / "locks.txt").symlink_to("/etc/passwd")
    return crash()


def members(bundle: bytes) -> dict[str, bytes]:
    """The files of a bundle by name."""
    with tarfile.open(fileobj=io.BytesIO(bundle)) as archive:
        opened = {member.name: archive.extractfile(member) for member in archive}
        return {name: file.read() for name, file in opened.items() if file}


def test_a_bundle_contains_the_texts_the_page_and_the_record_only(astbtd: Run, kept: Crash, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")

    answer = astbtd("bundle", "latest", "--output", tmp_path / "bundle.tar.gz")

    assert (answer.code, answer.out) == (0, f"{tmp_path}/bundle.tar.gz\n")
    files = members((tmp_path / "bundle.tar.gz").read_bytes())
    assert set(files) == {f"{kept.id}/{name}" for name in ("report.txt", "report.html", "backtrace.txt", "crash.json")}
    assert files[f"{kept.id}/backtrace.txt"] == BACKTRACE
    assert json.loads(files[f"{kept.id}/crash.json"])["id"] == kept.id


def test_the_default_file_name_contains_the_id(
    astbtd: Run, kept: Crash, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    astbtd("bundle", "latest")

    bundle = tmp_path / f"astbtd-{kept.id}.tar.gz"
    assert members(bundle.read_bytes())
    assert bundle.stat().st_mode & 0o777 == 0o600


def test_private_data_is_replaced_on_request_and_counted(astbtd: Run, kept: Crash, tmp_path: Path) -> None:
    answer = astbtd("bundle", "latest", "--redact", "--output", tmp_path / "bundle")

    files = members((tmp_path / "bundle").read_bytes())
    assert b"sip:<user-1>@<address-1>" in files[f"{kept.id}/backtrace.txt"]
    assert json.loads(files[f"{kept.id}/crash.json"])["host"] == "<host-1>"
    assert "1 address" in answer.err
    assert "review the bundle before you publish it" in answer.err


def test_several_crashes_are_packed_into_one_bundle(astbtd: Run, kept: Crash, keep: Keep, tmp_path: Path) -> None:
    other = crash(pid=77)
    keep(other)

    astbtd("bundle", "-1", "-2", "--output", tmp_path / "bundle")

    names = members((tmp_path / "bundle").read_bytes())
    assert {name.split("/")[0] for name in names} == {kept.id, other.id}


def test_the_same_crash_gives_the_same_bytes(astbtd: Run, kept: Crash, tmp_path: Path) -> None:
    for name in ("one", "two"):
        astbtd("bundle", kept.id, "--output", tmp_path / name)

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.mark.usefixtures("kept")
def test_a_bundle_is_written_to_standard_output(configuration: Path) -> None:
    command = [sys.executable, "-m", "astbtd", "--config", str(configuration), "bundle", "latest", "--output", "-"]

    assert members(subprocess.run(command, check=True, capture_output=True).stdout)


@pytest.mark.usefixtures("kept")
def test_an_existing_file_is_not_overwritten(astbtd: Run, tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("mine")

    answer = astbtd("bundle", "latest", "--output", tmp_path / "bundle")

    assert answer.code == 1
    assert "File exists" in answer.err
    assert (tmp_path / "bundle").read_text() == "mine"


def test_no_file_is_left_if_there_is_no_such_crash(astbtd: Run, store: Store, tmp_path: Path) -> None:
    assert store.ids() == []

    assert astbtd("bundle", "latest", "--output", tmp_path / "bundle").code == 3
    assert not (tmp_path / "bundle").exists()


LOG = b"[Nov 29 03:12:04] VERBOSE[21] pbx.c: Executing [4915112345678@internal:1]\n"


@pytest.mark.parametrize("options", [(), ("--redact",)])
def test_the_log_is_redacted_in_any_case(astbtd: Run, keep: Keep, tmp_path: Path, options: tuple[str, ...]) -> None:
    keep(crash(), log=LOG)

    astbtd("bundle", "latest", *options, "--output", tmp_path / "bundle.tar.gz")

    packed = members((tmp_path / "bundle.tar.gz").read_bytes())[f"{crash().id}/log.txt"]
    assert b"pbx.c: Executing [<number-1>@internal:1]" in packed


def test_the_page_in_a_bundle_is_redacted_like_the_texts(astbtd: Run, keep: Keep, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    private = "sip:alice@203.0.113.7"
    thread = f'#0  0x1 in ast_bridge_join (peer=0x3 "{private}") at bridge.c:1\n'
    keep(crash(), thread1=thread.encode())

    plain, redacted = (
        page_of_bundle(astbtd, tmp_path / name, *options) for name, options in (("a", ()), ("b", ("--redact",)))
    )

    assert ("alice" in plain, "203.0.113.7" in plain, "pbx1" in plain) == (True, True, True)
    assert ("alice" in redacted, "203.0.113.7" in redacted, "pbx1" in redacted) == (False, False, False)
    assert "ast_bridge_join" in redacted


def page_of_bundle(astbtd: Run, file: Path, *options: str) -> str:
    astbtd("bundle", "latest", "--output", file, *options)
    return members(file.read_bytes())[f"{crash().id}/report.html"].decode()


def test_without_jinja2_a_bundle_has_no_page_and_says_so(
    astbtd: Run, keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(crash())
    monkeypatch.setattr(template, "is_available", lambda: False)

    answer = astbtd("bundle", "latest", "--output", tmp_path / "bundle.tar.gz")

    assert answer.code == 0
    assert "the bundle has no report.html: jinja2 is not installed" in answer.err
    assert f"{crash().id}/report.html" not in members((tmp_path / "bundle.tar.gz").read_bytes())
