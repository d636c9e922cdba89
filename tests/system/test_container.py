"""The containers themselves: they boot, and the Asterisk in them crashes and leaves a core."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.containers.asterisk import CORE, Asterisk, Crash
from tests.support.containers.container import Container


@pytest.fixture(scope="module")
def container() -> Iterator[Container]:
    with Container.booted() as container:
        yield container


@pytest.fixture(scope="module")
def asterisk(container: Container) -> Asterisk:
    asterisk = Asterisk(container)
    asterisk.install_crash_module()
    return asterisk


def test_everything_starts(container: Container) -> None:
    assert container.run("systemctl", "is-system-running", "--wait").stdout.strip() == "running"


def test_asterisk_runs_under_debians_own_unit(asterisk: Asterisk) -> None:
    assert asterisk.is_active()
    assert "Asterisk 22." in asterisk.console("core show version")


def test_a_directory_is_copied_with_what_it_holds(container: Container, tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "below/file").write_text("as it was")
    container.copy_in(tmp_path, "/srv/some/copy")
    assert container.run("cat", "/srv/some/copy/below/file").stdout == "as it was"


def test_a_file_is_copied_with_its_mode(container: Container, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\necho ran\n")
    script.chmod(0o755)
    container.copy_in(script, "/srv/script")
    assert container.run("/srv/script").stdout == "ran\n"


def test_a_command_that_fails_is_reported_with_its_output(container: Container) -> None:
    with pytest.raises(AssertionError, match=r"cat /nowhere.*\n.*No such file"):
        container.run("cat", "/nowhere")


@pytest.mark.parametrize("how", Crash)
def test_every_crash_leaves_a_core_of_the_process_that_died(asterisk: Asterisk, how: Crash) -> None:
    crashed = asterisk.crash(how)
    notes = asterisk.container.run("gdb", "--batch", "--core", CORE, "-ex", "info inferiors").stdout
    assert f"process {crashed}" in notes


def test_a_deadlock_leaves_both_threads_waiting(asterisk: Asterisk) -> None:
    asterisk.deadlock()
    process = f"--pid={asterisk.main_pid()}"
    stacks = asterisk.container.run("gdb", "--batch", process, "-ex", "thread apply all bt").stdout
    assert "lock_bridge_of_channel" in stacks
    assert "lock_channel_of_bridge" in stacks


def test_the_image_stays_as_it_was(container: Container) -> None:
    container.run("touch", "/etc/written-by-a-test")
    with Container.booted() as another:
        assert another.run("ls", "/etc/written-by-a-test", check=False).returncode != 0
