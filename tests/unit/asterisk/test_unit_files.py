"""What the files of systemd's services say; a file is read again if it has changed."""

import errno
import os
from pathlib import Path

import pytest

from astbtd.asterisk import unit_files
from astbtd.asterisk.unit_files import Unit, read_units

pytestmark = pytest.mark.root


def read(directory: Path) -> dict[str, Unit]:
    return dict(read_units([str(directory)]))


def test_a_drop_in_can_replace_the_command_and_the_user(tmp_path: Path) -> None:
    (tmp_path / "pbx.service.d").mkdir()
    (tmp_path / "pbx.service").write_text("[Service]\nExecStart=/usr/sbin/asterisk -f\nUser=games\n")
    (tmp_path / "pbx.service.d" / "own.conf").write_text("[Service]\nExecStart=\nExecStart=/opt/pbx -g\nUser=nobody\n")

    assert read(tmp_path) == {"pbx.service": Unit([("/opt/pbx", "-g")], "nobody")}


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "pbx.service"
    file.write_text("[Service]\nUser=games\n")
    assert read(tmp_path)["pbx.service"].user == "games"

    file.with_name("new").write_text("[Service]\nUser=nobody\n")
    os.rename(file.with_name("new"), file)
    assert read(tmp_path)["pbx.service"].user == "nobody"

    file.chmod(0o666)
    assert read(tmp_path)["pbx.service"].user == ""


def test_a_masked_unit_starts_nothing(tmp_path: Path) -> None:
    (tmp_path / "pbx.service").symlink_to("/dev/null")

    assert read(tmp_path) == {"pbx.service": Unit()}


def test_a_file_that_could_not_be_read_once_is_read_by_the_next_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pbx.service").write_text("[Service]\nUser=games\n")

    def fail(_: str) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(unit_files, "open_regular", fail)
        assert read(tmp_path) == {"pbx.service": Unit()}

    assert read(tmp_path)["pbx.service"].user == "games"
