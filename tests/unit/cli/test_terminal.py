"""No text of others controls the terminal, on either stream, whichever verb prints it."""

import os
import pty
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.cli_types import Keep

HOSTILE = "x\x1b[2J\x9b31m\u202ey\u2066\u2028\x07\x7f"
FORBIDDEN = re.compile(
    r"[\x00-\x08\x0b-\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\x1b(?!\[[0-9;]*[mK])"
)


def run_on_terminal(*arguments: str) -> str:
    """Run astbtd with both streams on a terminal, and return what it prints."""
    master, slave = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "astbtd", *arguments], stdout=slave, stderr=slave, stdin=slave, env=environment
    )
    os.close(slave)
    printed = bytearray()
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # the program has ended
            break
        if not data:
            break
        printed += data
    os.close(master)
    process.wait()
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
    assert FORBIDDEN.search(printed) is None
    assert "\x1b[2J" not in printed


@pytest.mark.parametrize("verb", ["list", "show", "top"])
def test_json_on_a_terminal_is_ascii(store: Store, keep: Keep, verb: str) -> None:
    recorded = crash()
    keep(replace(recorded, process=replace(recorded.process, command_line=f"grüße {HOSTILE}"), host="hé"))

    printed = run_on_terminal("--store", str(store.root), verb, "--json")

    assert "{" in printed
    assert printed.isascii()
    assert FORBIDDEN.search(printed) is None


def test_stored_texts_are_escaped_on_a_terminal(store: Store, keep: Keep) -> None:
    keep(crash(), full=HOSTILE.encode(errors="surrogateescape"))

    printed = run_on_terminal("--store", str(store.root), "show", "--section", "full")

    assert r"x\x1b[2J\x9b31m\u202ey\u2066\u2028\x07\x7f" in printed


def test_warnings_about_configurations_are_escaped(tmp_path: Path) -> None:
    file = tmp_path / "astbtd.yaml"
    file.write_text('store: "\\e[2J\\u202e"\n')

    printed = run_on_terminal("--config", str(file), "check-config")

    assert "store" in printed
    assert FORBIDDEN.search(printed) is None
