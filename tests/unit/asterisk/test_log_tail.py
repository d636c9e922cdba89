"""The program that reads the end of Asterisk's log: only regular files with one name, and no more than the limit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from astbtd.asterisk import log_tail
from astbtd.asterisk.log_tail import log_paths, main, read_end

CONFIGURATION = """\
[general]
dateformat=%F %T
[logfiles]
console => notice,warning,error
syslog.local0 => notice,warning,error
messages.log => notice,warning,error
;debug.log => notice,warning,error,debug,verbose
/srv/log/all.log => [default]notice,warning,error,debug,verbose,dtmf,fax
security = security
"""


def test_the_log_with_most_levels_comes_first() -> None:
    assert log_paths(CONFIGURATION, "/var/log/asterisk") == [
        "/srv/log/all.log",
        "/var/log/asterisk/messages.log",
        "/var/log/asterisk/security",
        "/var/log/asterisk/full",
        "/var/log/asterisk/messages",
    ]


@pytest.mark.parametrize("text", ["", "[logfiles\n=>\n = \n", "\0\n[logfiles]\n\0\x1b => notice\n"])
def test_a_damaged_configuration_leaves_the_usual_names(text: str) -> None:
    assert log_paths(text, "/log") == ["/log/full", "/log/messages.log", "/log/messages"]


def test_only_the_end_of_a_log_is_read(tmp_path: Path) -> None:
    (tmp_path / "full").write_bytes(b"x" * 1000 + b"end")

    assert read_end(str(tmp_path / "full"), 4) == b"xend"


def plant_symbolic_link(path: Path) -> None:
    path.symlink_to("/etc/shadow")


def plant_hard_link(path: Path) -> None:
    path.with_name("other").write_text("secret")
    path.hardlink_to(path.with_name("other"))


def plant_fifo(path: Path) -> None:
    os.mkfifo(path)


def plant_directory(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize("plant", [plant_symbolic_link, plant_hard_link, plant_fifo, plant_directory])
def test_nothing_but_a_regular_file_with_one_name_is_read(
    tmp_path: Path, plant: "object", capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(plant)
    plant(tmp_path / "full")

    assert main(["tail", str(tmp_path / "full")]) == 1
    assert capsys.readouterr().out == ""


def test_the_first_log_with_content_is_printed_below_its_path(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "full").touch()
    (tmp_path / "messages").write_text("first\nlast\n")
    (tmp_path / "other").write_text("other\n")

    status = main(["tail", *(str(tmp_path / name) for name in ("missing", "full", "messages", "other"))])

    sys.stdout.flush()
    assert status == 0
    assert capfd.readouterr().out == f"{tmp_path}/messages\nfirst\nlast\n"


def test_it_runs_without_the_package(tmp_path: Path) -> None:
    (tmp_path / "logger.conf").write_text(CONFIGURATION)
    source = Path(log_tail.__file__).read_text()

    run = [sys.executable, "-I", "-S", "-c", source, "paths", str(tmp_path / "logger.conf"), "/log"]
    finished = subprocess.run(run, capture_output=True, text=True, check=True, env={})

    assert finished.stdout.splitlines()[:2] == ["/srv/log/all.log", "/log/messages.log"]


def test_without_logger_conf_the_usual_names_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["paths", str(tmp_path / "logger.conf"), "/log"]) == 0
    assert "/log/full" in capsys.readouterr().out.splitlines()
