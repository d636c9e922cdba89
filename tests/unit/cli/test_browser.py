"""Which command opens an address, and as which user."""

import os
import pwd
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from astbtd.cli.browser import opening_command
from astbtd.errors import AstbtdError
from astbtd.lib import subprocesses
from astbtd.model.crash import Section
from tests.support.builders import crash
from tests.support.cli_types import NOBODY, Keep, Run

ADDRESS = "https://github.com/asterisk/asterisk/issues/new?title=a"


def test_a_user_opens_it_with_the_environment_of_the_desktop_only() -> None:
    environ = {"DISPLAY": ":0", "HOME": "/home/eve", "PATH": "/usr/bin", "LD_PRELOAD": "evil.so"}

    command = opening_command(ADDRESS, 1000, environ)

    assert command.argv == ("xdg-open", ADDRESS)
    assert command.environment == {"DISPLAY": ":0", "HOME": "/home/eve", "PATH": "/usr/bin"}


@pytest.mark.parametrize("name", ["SUDO_UID", "PKEXEC_UID"])
def test_root_opens_it_as_the_user_who_became_root(name: str) -> None:
    nobody = pwd.getpwuid(NOBODY)

    command = opening_command(ADDRESS, 0, {name: str(NOBODY), "PATH": "/home/eve/bin", "DISPLAY": ":0"})

    assert command.argv[:2] == ("setpriv", f"--reuid={NOBODY}")
    assert command.argv[-2:] == ("xdg-open", ADDRESS)
    assert command.environment["HOME"] == nobody.pw_dir
    assert command.environment["DISPLAY"] == ":0"
    assert "PATH" not in command.environment


@pytest.mark.parametrize("environ", [{}, {"SUDO_UID": "0"}, {"SUDO_UID": "x"}, {"SUDO_UID": "4000000001"}])
def test_root_itself_opens_nothing(environ: Mapping[str, str]) -> None:
    with pytest.raises(AstbtdError, match="root does not open a browser"):
        opening_command(ADDRESS, 0, environ)


@pytest.fixture
def opener(tmp_path: Path) -> Path:
    """A directory with an xdg-open that writes its user, its groups and its arguments to the file `opened` there."""
    directory = tmp_path / "bin"
    directory.mkdir()
    script = directory / "xdg-open"
    script.write_text(f'#!/bin/sh\n(id -u; id -G; printf "%s\\n" "$@") >{directory}/opened\n')
    for path in (directory, script):
        path.chmod(0o777)
    return directory


@pytest.mark.root
def test_sudo_opens_the_issue_as_the_user_who_called_it(
    astbtd: Run, keep: Keep, opener: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(crash(), backtrace=b"#0  0x1 in ast_bridge_join () at bridge.c:1\n")
    monkeypatch.setenv("SUDO_UID", str(NOBODY))
    monkeypatch.setitem(subprocesses.ENVIRONMENT, "PATH", f"{opener}:{os.environ['PATH']}")

    answer = astbtd("report", "latest", "--open")

    user, groups, address = (opener / "opened").read_text().splitlines()
    assert (answer.code, user, groups) == (0, str(NOBODY), str(NOBODY))
    assert address in answer.out.split()


def test_a_user_opens_the_issue_and_a_failure_is_reported(tmp_path: Path, keep: Keep, opener: Path) -> None:
    (keep(crash()) / Section.THREAD1).write_text("#0  0x1 in ast_bridge_join () at bridge.c:1\n")
    for path in ((store := tmp_path / "store"), *store.rglob("*")):
        path.chmod(0o755)
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.geteuid() == 0 else []
    command = [*become, sys.executable, "-m", "astbtd", "--store", str(store), "report", "latest", "--open"]
    environment = {"PATH": f"{opener}:/usr/bin:/bin"}

    opened = subprocess.run(command, capture_output=True, text=True, env=environment)
    (opener / "xdg-open").write_text("#!/bin/sh\nexit 3\n")
    failed = subprocess.run(command, capture_output=True, text=True, env=environment)

    assert (opened.returncode, opened.stderr) == (0, "")
    assert (opener / "opened").read_text().splitlines()[-1] in opened.stdout.split()
    assert failed.returncode == 1
    assert "xdg-open failed with status 3" in failed.stderr
