"""No text of others controls the terminal, on either stream, whichever verb prints it."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.store.store import Store
from tests.support import terminal
from tests.support.builders import crash
from tests.support.cli_types import Keep
from tests.support.terminal import CONTROLS, HOSTILE


def run_on_terminal(*arguments: str) -> str:
    """Run astbtd with both streams on a terminal, and return what it prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "astbtd", *arguments]
    _, printed = terminal.run_on_terminal(command, environment, both_streams=True)
    return printed.decode(errors="surrogateescape").replace("\r\n", "\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["diagnose", HOSTILE],
        ["diagnose", "--json", HOSTILE],
        ["extract", HOSTILE],
        ["show", HOSTILE],
        ["show", "--section", HOSTILE, "latest"],
        ["core", "latest", "--output", f"{HOSTILE}/core"],
        ["bundle", "latest", "--output", f"{HOSTILE}/b"],
        ["list", "--since", HOSTILE],
        ["list", "--signal", HOSTILE],
        ["list", HOSTILE],
        [HOSTILE],
        ["--config", HOSTILE, "check-config"],
        ["--config", HOSTILE, "list"],
        ["pin", HOSTILE],
    ],
    ids=lambda arguments: arguments[0] if arguments[0].isascii() else "verb",
)
def test_arguments_in_messages_are_escaped(store: Store, keep: Keep, arguments: list[str]) -> None:
    keep(crash())

    printed = run_on_terminal("--store", str(store.root), *arguments)

    assert printed
    assert CONTROLS.search(printed) is None
    assert "\x1b[2J" not in printed


@pytest.mark.parametrize("verb", ["list", "show", "top"])
def test_json_on_a_terminal_is_ascii(store: Store, keep: Keep, verb: str) -> None:
    recorded = crash()
    keep(replace(recorded, process=replace(recorded.process, command_line=f"grüße {HOSTILE}"), host="hé"))

    printed = run_on_terminal("--store", str(store.root), verb, "--json")

    assert "{" in printed
    assert printed.isascii()
    assert CONTROLS.search(printed) is None


def test_stored_texts_are_escaped_on_a_terminal(store: Store, keep: Keep) -> None:
    keep(crash(), full=HOSTILE.encode(errors="surrogateescape"))

    printed = run_on_terminal("--store", str(store.root), "show", "--section", "full")

    assert r"x\x1b[2J\x9b31m\u202ey\u2066\u2028\x07\x7f" in printed


def test_warnings_about_configurations_are_escaped(tmp_path: Path) -> None:
    file = tmp_path / "astbtd.yaml"
    file.write_text('store: "\\e[2J\\u202e"\n')

    printed = run_on_terminal("--config", str(file), "check-config")

    assert "store" in printed
    assert CONTROLS.search(printed) is None
