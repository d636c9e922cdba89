"""The command as a whole: verbs, common options, failures, exit codes."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from astbtd import __version__
from astbtd.cli import common
from astbtd.cli import main as cli
from astbtd.cli.main import VERBS
from astbtd.model.crash import RECORD_FILE, SCHEMA
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.cli_types import NOBODY, Keep, Run


def test_help_lists_every_verb_with_its_summary(run: Run) -> None:
    answer = run("--help")

    assert answer.code == 0
    text = " ".join(answer.out.split())
    assert all(f"{name} {verb.help}" in text for name, verb in VERBS.items())


def test_help_explains_ids_and_exit_codes(run: Run) -> None:
    out = run("--help").out

    assert "'latest', or -N" in out
    assert "78 bad configuration" in out


@pytest.mark.parametrize("verb", list(VERBS))
def test_every_verb_has_help_with_the_common_options(run: Run, verb: str) -> None:
    answer = run(verb, "--help")

    assert answer.code == 0
    assert VERBS[verb].help in " ".join(answer.out.split())
    assert "--config FILE" in answer.out
    assert "--store DIR" in answer.out


def test_version(run: Run) -> None:
    assert run("--version").out == f"astbtd {__version__}\n"


@pytest.mark.parametrize("arguments", [[], ["explode"], ["list", "--limit", "many"], ["list", "extra"]])
def test_wrong_usage_exits_with_2(run: Run, arguments: list[str]) -> None:
    answer = run(*arguments)

    assert answer.code == 2
    assert answer.err.startswith("usage: astbtd")


def test_the_configuration_option_is_accepted_before_and_after_the_verb(
    run: Run, keep: Keep, configuration: Path
) -> None:
    keep(crash())

    before, after = run("--config", configuration, "list"), run("list", "--config", configuration)

    assert before == after
    assert crash().id in before.out


def test_the_store_option_is_accepted_before_and_after_the_verb_and_overrides_the_configuration(
    run: Run, keep: Keep, tmp_path: Path, configuration: Path
) -> None:
    keep(crash())
    configuration.write_text("store: /nonexistent\n")
    store = tmp_path / "store"

    before = run("--config", configuration, "--store", store, "list")
    after = run("--config", configuration, "list", "--store", store)

    assert before == after
    assert crash().id in before.out


def test_the_store_option_accepts_a_relative_path(
    astbtd: Run, keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = keep(crash())
    monkeypatch.chdir(tmp_path)

    assert astbtd("show", "--path", "--store", "store").out == f"{directory}\n"


@pytest.mark.parametrize("verb", ["prune", "fsck", "check-config", "run"])
def test_verbs_that_need_the_configuration_report_all_its_errors(run: Run, configuration: Path, verb: str) -> None:
    configuration.write_text("store: here\ngdb: {time: long}\n")

    answer = run(verb, "--config", configuration)

    assert (answer.code, answer.out) == (78, "")
    assert "2 errors" in answer.err
    assert "store: must be an absolute path" in answer.err
    assert "gdb.time: must be a duration" in answer.err
    assert "\n  hint: " in answer.err


@pytest.mark.parametrize("arguments", [["list"], ["show"], ["top"], ["bundle", "latest", "--output", "/dev/null/x"]])
def test_reading_verbs_warn_about_a_bad_configuration_and_use_the_default_store(
    run: Run, keep: Keep, configuration: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    keep(crash())
    monkeypatch.setattr(common, "default_store", lambda: str(tmp_path / "store"))
    configuration.write_text("store: here\n")

    answer = run("--config", configuration, *arguments)

    assert answer.code != 78
    assert "store: must be an absolute path" in answer.err
    assert "using the default store" in answer.err
    assert arguments[0] == "bundle" or (answer.code == 0 and answer.out)


@pytest.mark.usefixtures("plain_user")
def test_permission_problems_are_reported_as_such(run: Run, tmp_path: Path) -> None:
    private = tmp_path / "private"
    os.seteuid(0)
    private.mkdir(mode=0o700)
    cores = tmp_path / "cores"
    cores.mkdir(mode=0o755)
    (cores / "core").touch(mode=0o600)
    os.seteuid(NOBODY)

    for arguments in (
        ["extract", private / "core"],
        ["extract", "--newest", private],
        ["extract", "--newest", private / "cores"],
        ["extract", "--newest", cores],
        ["diagnose", private / "x"],
    ):
        answer = run("--store", tmp_path / "store", *arguments)

        assert answer.code == 1
        assert "permission denied" in answer.err.lower()
        assert "no such file" not in answer.err.lower()
        assert "Traceback" not in answer.err


def test_an_internal_error_is_printed_without_control_characters(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> None:
        raise ValueError("\x1b[31m\u202ered")

    monkeypatch.setattr("astbtd.cli.commands.list.run", fail)

    answer = run("list")

    assert answer.code == 1
    assert r"ValueError: \x1b[31m\u202ered" in answer.err


def test_with_the_store_option_a_bad_configuration_does_not_matter(
    run: Run, keep: Keep, configuration: Path, tmp_path: Path
) -> None:
    keep(crash())
    configuration.write_text("store: [")

    assert crash().id in run("list", "--config", configuration, "--store", tmp_path / "store").out


def test_check_config_accepts_a_valid_configuration(astbtd: Run) -> None:
    answer = astbtd("check-config")

    assert answer.code == 0
    assert "configuration is valid\n" in answer.out


def test_check_config_lists_the_watched_directories(run: Run, configuration: Path, tmp_path: Path) -> None:
    configuration.write_text(f"watch: {{directories: [{tmp_path}]}}\n")

    text = run("check-config", "--config", configuration)
    document = run("check-config", "--json", "--config", configuration)

    assert f"watched: {tmp_path}\n" in text.out
    result = json.loads(document.out)
    assert (result["valid"], result["file"], result["errors"]) == (True, str(configuration), [])
    assert str(tmp_path) in result["watched"]


def test_check_config_prints_errors_as_json(run: Run, configuration: Path) -> None:
    configuration.write_text("stroe: /x\n")

    answer = run("check-config", "--json", "--config", configuration)

    assert answer.code == 78
    result = json.loads(answer.out)
    assert result["valid"] is False
    assert [error.split(":")[0] for error in result["errors"]] == ["stroe"]


@pytest.mark.parametrize(
    "arguments",
    [("pin", "latest"), ("unpin", "latest"), ("prune",), ("prune", "--dry-run"), ("fsck",), ("fsck", "--dry-run")],
)
def test_verbs_that_change_records_refuse_the_store_of_a_newer_version(
    astbtd: Run, keep: Keep, store: Store, arguments: tuple[str, ...]
) -> None:
    record = keep(crash()) / RECORD_FILE
    before = record.read_bytes()
    (store.root / "schema").write_text(f"{SCHEMA + 1}\n")

    answer = astbtd(*arguments)

    assert (answer.code, answer.out) == (1, "")
    assert f"was written by a newer version of astbtd (schema {SCHEMA + 1}" in answer.err
    assert "\n  hint: install that version again" in answer.err
    assert record.read_bytes() == before


def test_an_unreadable_store_is_a_failure(run: Run, configuration: Path) -> None:
    configuration.write_text("store: /dev/null\n")

    answer = run("list", "--config", configuration)

    assert answer.code == 1
    assert answer.err.startswith("astbtd: ")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("verb", ["list", "--help", "--version"])
def test_a_full_disk_behind_the_output_is_reported(keep: Keep, configuration: Path, verb: str, unbuffered: str) -> None:
    keep(crash())

    with open("/dev/full", "w") as full:
        done = run_process(configuration, verb, output=full.fileno(), unbuffered=unbuffered)

    assert done.returncode == 1
    assert done.stderr == (
        "astbtd: cannot write the output: No space left on device\n"
        "  hint: free disk space or check the disk, then retry\n"
    )


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_is_no_failure(keep: Keep, configuration: Path, unbuffered: str) -> None:
    keep(crash())
    reading, writing = os.pipe()
    os.close(reading)

    done = run_process(configuration, "list", output=writing, unbuffered=unbuffered)

    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("verb", ["list", "show", "--help"])
def test_a_closed_standard_output_is_reported(keep: Keep, configuration: Path, verb: str) -> None:
    keep(crash())

    done = run_with_closed_stream(">&-", configuration, verb)

    assert done.returncode == 1
    assert done.stderr == "astbtd: standard output is closed\n  hint: redirect it to a file, or to /dev/null\n"


def test_with_a_closed_standard_output_the_work_is_done_and_no_file_takes_its_place(
    keep: Keep, configuration: Path, store: Store
) -> None:
    keep(crash())

    done = run_with_closed_stream(">&-", configuration, "pin", "latest")

    assert "Traceback" not in done.stderr
    assert [each.pinned for each in store.crashes()] == [True]
    assert all(b"is pinned" not in file.read_bytes() for file in store.root.rglob("*") if file.is_file())


def test_a_closed_standard_error_or_input_does_not_matter_unless_it_is_read(keep: Keep, configuration: Path) -> None:
    keep(crash())

    quiet = run_with_closed_stream("2>&-", configuration, "list")
    failed = run_with_closed_stream("2>&-", configuration, "show", "2001")
    diagnosed = run_with_closed_stream("<&-", configuration, "diagnose", "-")

    assert (quiet.returncode, failed.returncode, diagnosed.returncode) == (0, 3, 1)
    assert crash().id in quiet.stdout
    assert diagnosed.stderr.startswith("astbtd: cannot read -: Bad file descriptor")


def test_the_process_writes_all_output_and_returns_the_exit_code(keep: Keep, configuration: Path) -> None:
    keep(crash())

    listed = run_process(configuration, "list", output=subprocess.PIPE)
    missing = run_process(configuration, "show", "2001", output=subprocess.PIPE)

    assert listed.returncode == 0
    assert listed.stdout.endswith(f"{crash().id}\n")
    assert missing.returncode == 3
    assert missing.stderr.startswith("astbtd: no crash")


def test_output_printed_before_a_failure_is_kept() -> None:
    failing = "from astbtd.cli import main as cli; cli.main = lambda: print('one of two') or 1; cli.command()"

    done = subprocess.run([sys.executable, "-c", failing], check=False, stdout=subprocess.PIPE, text=True)

    assert (done.returncode, done.stdout) == (1, "one of two\n")


def test_a_disk_error_names_the_file(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    def fail(_: object) -> int:
        raise OSError(errno.EIO, "Input/output error", "/srv/store/record")

    monkeypatch.setattr(cli, "_run_verb", fail)

    answer = run("list")

    assert answer.code == 1
    assert "cannot write /srv/store/record: Input/output error\n  hint: " in answer.err


def run_with_closed_stream(redirection: str, configuration: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a shell that closes one of its standard streams."""
    command = [sys.executable, "-m", "astbtd", "--config", str(configuration), *arguments]
    script = f'exec "$@" {redirection}'
    return subprocess.run(["sh", "-c", script, "sh", *command], check=False, capture_output=True, text=True)


def run_process(
    configuration: Path, *arguments: str, output: int, unbuffered: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "astbtd", "--config", str(configuration), *arguments]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    return subprocess.run(command, check=False, stdout=output, stderr=subprocess.PIPE, text=True, env=environment)
