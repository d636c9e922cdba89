"""The archive for a developer: complete, private, streamed, and usable where nothing of the machine is."""

import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from astbtd.backtrace import parser
from astbtd.model.crash import Crash, Section
from tests.support.commands import build, command_line, run_astbtd, section_text
from tests.support.harness import RunningDaemon, collect_kept


@pytest.fixture
def collected(running: RunningDaemon, spool: Path, scratch: Path) -> Crash:
    """A crash whose core is kept, of a program that is gone now from where it was."""
    programs = build(scratch / "programs", "OPTIMIZE=1")
    return collect_kept(running, programs, spool)


def crashed_frames(text: str) -> list[str]:
    """Return the frames of the crashed thread, which gdb prints first."""
    return [frame.text for frame in parser.parse(text).threads[0].frames]


def unpacked(archive: Path, directory: Path) -> Path:
    """Unpack an archive and return its only directory."""
    directory.mkdir()
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", directory], check=True)
    (only,) = directory.iterdir()
    return only


def test_the_archive_opens_in_gdb_without_the_program_of_this_machine(
    running: RunningDaemon, collected: Crash, scratch: Path
) -> None:
    done = run_astbtd(running, "export", collected.id, "--output", str(scratch / "archive"))
    (scratch / "programs").rename(scratch / "moved")

    opened = unpacked(scratch / "archive", scratch / "elsewhere")
    command = ["sh", str(opened / "open.sh"), "-batch", "-ex", "bt"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert done.returncode == 0, done.stderr
    assert crashed_frames(shown) == crashed_frames(section_text(running, collected, Section.BACKTRACE))
    assert "do_forward" in shown
    assert {"core", "open.sh", "sysroot", "texts"} <= set(os.listdir(opened))
    assert {"report.txt", "backtrace.txt", "crash.json"} <= set(os.listdir(opened / "texts"))


def test_only_the_caller_can_read_it_and_a_warning_is_printed(
    running: RunningDaemon, collected: Crash, scratch: Path
) -> None:
    done = run_astbtd(running, "export", collected.id, "--output", str(scratch / "archive"))

    assert (scratch / "archive").stat().st_mode & 0o777 == 0o600
    assert done.stdout == f"{scratch}/archive\n"
    assert "packed: the core (" in done.stderr
    assert "send privately; never attach it to a public issue" in done.stderr


def test_an_object_of_another_build_is_not_packed(running: RunningDaemon, collected: Crash, scratch: Path) -> None:
    shutil.rmtree(running.store.root / "objects")
    module = scratch / "programs/modules/app_dial.so"
    module.write_bytes(Path("/bin/true").read_bytes())

    done = run_astbtd(running, "export", collected.id, "--output", str(scratch / "archive"))

    assert f"not packed, since that build is not here any more: {module}" in done.stderr
    with tarfile.open(scratch / "archive") as archive:
        assert not any(name.endswith("app_dial.so") for name in archive.getnames())


def test_a_kept_object_is_packed_if_the_file_on_disk_is_another_build(
    running: RunningDaemon, collected: Crash, scratch: Path
) -> None:
    module = scratch / "programs/modules/app_dial.so"
    built = module.read_bytes()
    module.write_bytes(Path("/bin/true").read_bytes())

    run_astbtd(running, "export", collected.id, "--output", str(scratch / "archive"))

    opened = unpacked(scratch / "archive", scratch / "elsewhere")
    assert (opened / f"sysroot{module}").read_bytes() == built


def test_it_can_be_piped_to_a_program_that_encrypts(running: RunningDaemon, collected: Crash, scratch: Path) -> None:
    key = scratch / "key"
    subprocess.run(["age-keygen", "--output", key], check=True, capture_output=True)
    recipient = key.read_text().split("public key: ")[1].split()[0]
    astbtd = " ".join(command_line(running, "export", collected.id, "--output", "-"))

    script = f"set -e; {astbtd} | age --recipient {recipient} >{scratch}/encrypted"
    subprocess.run(["sh", "-c", script], check=True, capture_output=True)
    decrypted = subprocess.run(
        ["age", "--decrypt", "--identity", key, scratch / "encrypted"], check=True, capture_output=True
    ).stdout

    (scratch / "archive").write_bytes(decrypted)
    assert (unpacked(scratch / "archive", scratch / "elsewhere") / "core").exists()


def test_others_than_root_may_not_export(running: RunningDaemon, collected: Crash, scratch: Path) -> None:
    command = command_line(running, "export", collected.id, "--output", str(scratch / "archive"))

    done = subprocess.run(command, user="nobody", capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "only root may read it" in done.stderr
    assert not (scratch / "archive").exists()


def test_on_a_full_disk_nothing_is_left_and_the_hint_says_what_to_do(
    running: RunningDaemon, collected: Crash, scratch: Path
) -> None:
    small = scratch / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64K", "tmpfs", small], check=True)
    try:
        done = run_astbtd(running, "export", collected.id, "--output", str(small / "archive"))
        left = os.listdir(small)
    finally:
        subprocess.run(["umount", small], check=True)

    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "hint: free some disk space" in done.stderr
    assert left == []
