"""Asterisk's processes, their directories, and asterisk.conf, which may contain anything: the asterisk user owns it."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from astbtd.asterisk import asterisk_processes
from astbtd.asterisk.asterisk_processes import RunningAsterisk
from astbtd.lib.mounts import Mounts, parse

DEFAULT = "/run/asterisk"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "asterisk.conf"


@pytest.mark.parametrize(
    "text",
    [
        "[directories]\nastrundir => /srv/run\n",
        "[directories]\nastrundir = /srv/run/\n",
        "[directories]\nastrundir=/srv//run ; where the pid is\n",
        "[directories] ; not a template\nastetcdir => /etc\nastrundir => /srv/run",
        "[options]\nverbose = 3\n[directories]\r\n  astrundir => /srv/run\r\n",
    ],
)
def test_the_configured_run_directory_is_read(file: Path, text: str) -> None:
    file.write_text(text, newline="")

    assert asterisk_processes.read_run_directory(file) == "/srv/run"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[directories](!)\nastrundir => /srv/run\n",
        "[directories]\n;astrundir => /srv/run\n",
        "[directories]\nastrundir => run\n",
        "[directories]\nastrundir =>\n",
        "[directories]\nmyastrundir => /srv/run\n",
        "[options]\nastrundir => /srv/run\n",
        "astrundir => /srv/run\n",
        "[directories]\n[files]\nastrundir => /srv/run\n",
    ],
)
def test_without_a_setting_the_run_directory_is_the_default(file: Path, text: str) -> None:
    file.write_text(text)

    assert asterisk_processes.read_run_directory(file) == DEFAULT


def test_a_value_is_never_evaluated(file: Path) -> None:
    file.write_text("[directories]\nastrundir => /srv/$(touch x)/${HOME}\n")

    assert asterisk_processes.read_run_directory(file) == "/srv/$(touch x)/${HOME}"


def test_without_a_file_the_run_directory_is_the_default(file: Path) -> None:
    assert asterisk_processes.read_run_directory(file) == DEFAULT


def test_a_directory_in_place_of_the_file_gives_the_default(file: Path) -> None:
    file.mkdir()

    assert asterisk_processes.read_run_directory(file) == DEFAULT


def test_a_fifo_in_place_of_the_file_does_not_block(file: Path) -> None:
    os.mkfifo(file)

    assert asterisk_processes.read_run_directory(file) == DEFAULT


def test_a_device_in_place_of_the_file_is_not_read(file: Path) -> None:
    file.symlink_to("/dev/zero")

    assert asterisk_processes.read_run_directory(file) == DEFAULT


@pytest.mark.parametrize(
    "text",
    [
        "[options]\ndumpcore = yes\n",
        "[options]\nDumpCore=yes ; and more\n",
        "[directories]\ndumpcore = no\n[options]\n;dumpcore = no\ndumpcore => yes\ndumpcore = no\n",
    ],
)
def test_the_first_assignment_of_a_setting_is_read(file: Path, text: str) -> None:
    file.write_text(text)

    assert asterisk_processes.read_setting(file, "options", "dumpcore") == "yes"


def test_a_setting_that_is_not_set_is_none(file: Path) -> None:
    file.write_text("[options](!)\ndumpcore = yes\n[directories]\ndumpcore = yes\n")

    assert asterisk_processes.read_setting(file, "options", "dumpcore") is None


def test_a_setting_in_a_missing_file_is_an_error(file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        asterisk_processes.read_setting(file, "options", "dumpcore")


@limits(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(junk=st.binary(max_size=200))
def test_junk_gives_an_absolute_directory(file: Path, junk: bytes) -> None:
    file.write_bytes(b"[directories]\nastrundir => /" + junk)

    assert asterisk_processes.read_run_directory(file).startswith("/")


@pytest.mark.parametrize(
    "command",
    [
        "rasterisk",
        "/usr/sbin/rasterisk -vvv",
        "asterisk -r",
        "asterisk -vvvr",
        "asterisk -R",
        "asterisk -x",
        "asterisk -rx",
        "asterisk -C /etc/other.conf -r",
    ],
)
def test_a_remote_console_is_a_client(command: str) -> None:
    argv = [word.encode() for word in command.split()]

    assert asterisk_processes.is_client([*argv, b"core show uptime"] if command.endswith("x") else argv)


@pytest.mark.parametrize(
    "command",
    [
        "asterisk",
        "/usr/sbin/asterisk -g -f -p -U asterisk -G asterisk",
        "asterisk -vvvg -c",
        "asterisk -U rasterisk",
        "asterisk -C -r",
        "asterisk --unknown -r",
    ],
)
def test_the_pbx_is_not_a_client(command: str) -> None:
    assert not asterisk_processes.is_client([word.encode() for word in command.split()])


def test_the_options_of_a_command_line_are_parsed() -> None:
    command = ["asterisk", "-vvvg", "-f", "-p", "-U", "asterisk", "-C", "/etc/other.conf"]

    options = asterisk_processes.parse_options([word.encode() for word in command])

    assert options == {"-v": "", "-g": "", "-f": "", "-p": "", "-U": "asterisk", "-C": "/etc/other.conf"}


def test_an_invalid_command_line_has_no_options() -> None:
    assert asterisk_processes.parse_options([b"asterisk", b"-g", b"--unknown"]) == {}


BOOT_ID = "0f" * 16
INSIDE = f"systemd-private-{BOOT_ID}-asterisk.service-a1B2c3/tmp"
MOUNTS = Mounts(
    parse(
        f"""\
21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
22 21 254:0 /tmp/{INSIDE} /tmp rw,relatime shared:2 master:1 - ext4 /dev/vda rw
23 21 0:30 /{INSIDE} /var/tmp rw - tmpfs tmpfs rw
24 21 254:0 /srv/{INSIDE} /srv/elsewhere rw - ext4 /dev/vda rw
""".encode()
    )
)


def test_private_directories_are_found_by_their_mount_points() -> None:
    assert asterisk_processes.find_private_directories(MOUNTS) == (
        ("/tmp", f"/tmp/{INSIDE}"),
        ("/var/tmp", f"/var/tmp/{INSIDE}"),
    )


@pytest.mark.parametrize(
    ("path", "outside"),
    [
        ("/tmp", f"/tmp/{INSIDE}"),
        ("/tmp/cores/today", f"/tmp/{INSIDE}/cores/today"),
        ("/var/tmp/x", f"/var/tmp/{INSIDE}/x"),
        ("/tmpfs", "/tmpfs"),
        ("/var/lib/asterisk", "/var/lib/asterisk"),
    ],
)
def test_a_path_in_a_private_directory_is_translated_to_the_host(path: str, outside: str) -> None:
    process = RunningAsterisk(4242, "/", private_directories=asterisk_processes.find_private_directories(MOUNTS))

    assert process.host_path(path) == outside


def test_a_process_that_is_not_accessible_has_no_host_paths() -> None:
    assert RunningAsterisk(4242, None, "it runs in a container").host_path("/tmp") is None


def test_the_glob_of_a_private_directory_matches_after_a_restart() -> None:
    assert (
        asterisk_processes.private_tmp_glob(f"/tmp/{INSIDE}/cores")
        == "/tmp/systemd-private-*-asterisk.service-*/tmp/cores"
    )
    assert asterisk_processes.private_tmp_glob("/var/lib/asterisk") == "/var/lib/asterisk"


@pytest.mark.parametrize(
    ("directory", "private"),
    [(f"/tmp/{INSIDE}", True), (f"/tmp/{INSIDE}/cores", True), (f"/tmp/{INSIDE}s", False), ("/tmp", False)],
)
def test_directories_in_a_private_tmp_are_recognized(directory: str, private: bool) -> None:
    assert asterisk_processes.is_private_tmp(directory) == private


def test_a_process_outside_a_container_has_one_id() -> None:
    assert asterisk_processes.innermost_pid(os.getpid()) == os.getpid()


def test_a_process_that_has_ended_has_the_id_that_is_known() -> None:
    with subprocess.Popen(["true"]) as process:
        process.wait()

    assert asterisk_processes.innermost_pid(process.pid) == process.pid


@pytest.mark.root
def test_a_process_in_a_container_has_the_id_that_its_core_has() -> None:
    command = ("unshare", "--pid", "--fork", "--kill-child", "sh", "-c", "echo $$; read -r _")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        inner = int(process.stdout.readline())
        (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()

        assert asterisk_processes.innermost_pid(int(child)) == inner == 1
        assert int(child) != inner

        process.kill()
