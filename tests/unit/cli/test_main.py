"""The command as a whole: its verbs, its common options, its exit codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from astbtd import __version__
from astbtd.cli.main import VERBS
from tests.support.builders import crash
from tests.unit.cli.conftest import Keep, Run


def test_help_lists_every_verb_with_what_it_does(run: Run) -> None:
    answer = run("--help")

    assert answer.code == 0
    text = " ".join(answer.out.split())
    assert all(f"{name} {verb.help}" in text for name, verb in VERBS.items())


def test_help_tells_ids_and_exit_codes(run: Run) -> None:
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
def test_wrong_usage(run: Run, arguments: list[str]) -> None:
    answer = run(*arguments)

    assert answer.code == 2
    assert answer.err.startswith("usage: astbtd")


def test_the_configuration_may_be_named_before_or_after_the_verb(run: Run, keep: Keep, configuration: Path) -> None:
    keep(crash())

    before, after = run("--config", configuration, "list"), run("list", "--config", configuration)

    assert before == after
    assert crash().id in before.out


def test_the_store_may_be_named_before_or_after_the_verb_and_wins(
    run: Run, keep: Keep, tmp_path: Path, configuration: Path
) -> None:
    keep(crash())
    configuration.write_text("store: /nonexistent\n")
    store = tmp_path / "store"

    before = run("--config", configuration, "--store", store, "list")
    after = run("--config", configuration, "list", "--store", store)

    assert before == after
    assert crash().id in before.out


def test_the_store_may_be_given_relative_to_here(
    astbtd: Run, keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = keep(crash())
    monkeypatch.chdir(tmp_path)

    assert astbtd("show", "--path", "--store", "store").out == f"{directory}\n"


@pytest.mark.parametrize("verb", ["list", "show", "check-config", "run"])
def test_a_bad_configuration_ends_every_verb_with_all_errors(run: Run, configuration: Path, verb: str) -> None:
    configuration.write_text("store: here\ngdb: {time: long}\n")

    answer = run(verb, "--config", configuration)

    assert (answer.code, answer.out) == (78, "")
    assert "2 errors" in answer.err
    assert "store: must be an absolute path" in answer.err
    assert "gdb.time: must be a duration" in answer.err
    assert "what helps: " in answer.err


def test_a_store_that_is_named_is_read_whatever_the_configuration(
    run: Run, keep: Keep, configuration: Path, tmp_path: Path
) -> None:
    keep(crash())
    configuration.write_text("store: [")

    assert crash().id in run("list", "--config", configuration, "--store", tmp_path / "store").out


def test_check_config_says_that_all_is_well(astbtd: Run) -> None:
    answer = astbtd("check-config")

    assert answer.code == 0
    assert answer.out.startswith("the configuration is valid\n")


def test_check_config_names_what_is_watched(run: Run, configuration: Path, tmp_path: Path) -> None:
    configuration.write_text(f"watch: {{directories: [{tmp_path}]}}\n")

    text, document = (
        run("check-config", "--config", configuration),
        run("check-config", "--json", "--config", configuration),
    )

    assert f"watched: {tmp_path}\n" in text.out
    found = json.loads(document.out)
    assert (found["valid"], found["file"], found["errors"]) == (True, str(configuration), [])
    assert str(tmp_path) in found["watched"]


def test_check_config_gives_its_errors_as_json_too(run: Run, configuration: Path) -> None:
    configuration.write_text("stroe: /x\n")

    answer = run("check-config", "--json", "--config", configuration)

    assert answer.code == 78
    found = json.loads(answer.out)
    assert found["valid"] is False
    assert [error.split(":")[0] for error in found["errors"]] == ["stroe"]


def test_a_store_that_cannot_be_read_is_a_failure_that_says_what_helps(run: Run, configuration: Path) -> None:
    configuration.write_text("store: /dev/null\n")

    answer = run("list", "--config", configuration)

    assert answer.code == 1
    assert answer.err.startswith("astbtd: ")


@pytest.mark.parametrize("verb", ["list", "--help"])
def test_output_that_finds_no_room_is_a_failure_that_says_so(keep: Keep, configuration: Path, verb: str) -> None:
    keep(crash())

    with open("/dev/full", "w") as full:
        done = started(configuration, verb, output=full.fileno())

    assert done.returncode == 1
    assert done.stderr == "astbtd: cannot write the output: No space left on device\n"


def test_the_end_of_the_process_loses_no_output_and_tells_the_exit_code(keep: Keep, configuration: Path) -> None:
    keep(crash())

    listed, missing = (started(configuration, *verb, output=subprocess.PIPE) for verb in (["list"], ["show", "2001"]))

    assert listed.returncode == 0
    assert listed.stdout.endswith(f"{crash().id}\n")
    assert missing.returncode == 3
    assert missing.stderr.startswith("astbtd: no crash's id starts with '2001'")


def test_what_was_printed_before_it_failed_is_not_lost() -> None:
    failing = "from astbtd.cli import main as cli; cli.main = lambda: print('one of two') or 1; cli.command()"

    done = subprocess.run([sys.executable, "-c", failing], check=False, stdout=subprocess.PIPE, text=True)

    assert (done.returncode, done.stdout) == (1, "one of two\n")


def started(configuration: Path, *arguments: str, output: int) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    command = [sys.executable, "-m", "astbtd", "--config", str(configuration), *arguments]
    return subprocess.run(command, check=False, stdout=output, stderr=subprocess.PIPE, text=True)


def test_extracting_what_is_no_core_fails_for_each_and_says_why(run: Run, configuration: Path, tmp_path: Path) -> None:
    configuration.write_text("gdb: {user: nobody}\n")
    (tmp_path / "text").write_text("no core")

    answer = run("extract", "--config", configuration, tmp_path / "text", tmp_path / "absent")

    assert answer.code == 1
    assert f"{tmp_path / 'text'}: it is no core" in answer.err
    assert f"{tmp_path / 'absent'}: there is no such file" in answer.err
