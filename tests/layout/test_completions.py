"""The completion scripts: generated for all verbs; bash completes ids and signatures without Python."""

import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from astbtd.cli.main import VERBS
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.stores import commit

GENERATOR = Path(__file__).parents[2] / "completions/generate"
OTHER_SIGNATURE = "fedcba987654"

pytest.importorskip("shtab")

_COMPLETE = r"""
. "$1"
root=$2
_astbtd_store() { printf '%s' "$root"; }
shift 2
PATH=/usr/bin:/bin
python3() { echo "python was started" >&2; exit 1; }
COMP_WORDS=(astbtd "$@") COMP_CWORD=$#
_shtab_astbtd
printf '%s\n' "${COMPREPLY[@]}"
"""


@cache
def script(shell: str) -> str:
    command = (sys.executable, str(GENERATOR), shell)
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.prepare()
    commit(store, crash(1))
    commit(store, crash(2, signature=OTHER_SIGNATURE))
    return store


def complete(store: Store, *words: str) -> list[str]:
    """Return what bash offers for the last of the words after `astbtd`."""
    file = store.root.parent / "completion"
    file.write_text(script("bash"))
    command = ("bash", "-c", _COMPLETE, "bash", str(file), str(store.root), *words)
    completed = subprocess.run(command, check=True, capture_output=True, text=True)
    assert completed.stderr == ""
    return completed.stdout.split()


def test_all_verbs_are_completed(store: Store) -> None:
    assert complete(store, "") == list(VERBS)


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_each_verb_is_in_the_script(shell: str) -> None:
    assert [verb for verb in VERBS if verb not in script(shell)] == []


def test_options_are_completed(store: Store) -> None:
    assert complete(store, "list", "--sig") == ["--signature", "--signal"]


@pytest.mark.parametrize("verb", ["show", "core", "bundle", "report", "pin", "unpin"])
def test_ids_are_completed_newest_first(store: Store, verb: str) -> None:
    assert complete(store, verb, "") == ["latest", crash(2).id, crash(1).id]
    assert complete(store, verb, crash(1).id[:14]) == [crash(1).id]


def test_signatures_are_completed(store: Store) -> None:
    assert complete(store, "list", "--signature", "f") == [OTHER_SIGNATURE]
    assert complete(store, "top", "--sites", "f") == [OTHER_SIGNATURE]


def test_a_store_that_cannot_be_read_gives_no_ids(tmp_path: Path) -> None:
    assert complete(Store(tmp_path / "absent"), "show", "2") == []


# In a pseudo-terminal of zsh, type the words and the key that lists the choices; print what it then shows.
_TYPE_IN_ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
write() { zpty -w shell "$1" }
write "PS1='ready> '; cd $1; fpath=($1/functions \$fpath); autoload -Uz compinit; compinit -u -d $1/dump"
write "astbtd() { }; unsetopt beep; LISTMAX=0; bindkey '^X' list-choices"
write "print loaded-\${+_comps[astbtd]}"
zpty -r -m shell output '*loaded-1*'
zpty -w -n shell "$2"$'\x18'
zpty -r -m shell output "*$3*" && print -r -- "$output"
zpty -d shell
"""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("astbtd pru", "prune"),
        ("astbtd show 2026", crash(1).id),
        ("astbtd list --signature ", OTHER_SIGNATURE),
        ("astbtd list --sig", "--signal"),
    ],
)
def test_zsh_offers_verbs_ids_signatures_and_options(store: Store, typed: str, offered: str) -> None:
    functions = store.root.parent / "functions"
    functions.mkdir()
    (functions / "_astbtd").write_text(script("zsh").replace("/var/lib/astbtd", str(store.root)))
    command = ("zsh", "-f", "-c", _TYPE_IN_ZSH, "zsh", str(store.root.parent), typed, offered)

    completed = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)

    assert offered in completed.stdout


@pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")
def test_zsh_accepts_the_script(tmp_path: Path) -> None:
    (tmp_path / "_astbtd").write_text(script("zsh"))

    checked = subprocess.run(("zsh", "-n", tmp_path / "_astbtd"), capture_output=True, text=True)

    assert (checked.returncode, checked.stderr) == (0, "")
