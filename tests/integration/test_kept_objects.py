"""Programs and modules are kept by build id, so that a core can be read after an upgrade has replaced them."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from astbtd.model.crash import Crash, ObjectState, Section, Verdict
from astbtd.store.kept_objects import KeptObjects
from tests.support.another_build import replace
from tests.support.commands import run_astbtd, section_text
from tests.support.harness import RunningDaemon, crash, running_asterisk
from tests.support.store_checks import check_store_is_consistent


@pytest.fixture
def installed(programs: Path, scratch: Path) -> Path:
    """An installation of the programs that a test may change."""
    return Path(shutil.copytree(programs, scratch / "installed"))


def files_of(installed: Path) -> list[Path]:
    return [installed / "asterisk", *(installed / "modules").iterdir()]


def start_with_asterisk(running: RunningDaemon, installed: Path, spool: Path) -> None:
    """Start the daemon while Asterisk runs, and wait until it has kept the objects."""
    with running_asterisk(installed, spool):
        running.start()
        running.wait_for_objects()


def collect(running: RunningDaemon, core: Path, spool: Path) -> Crash:
    shutil.copy2(core, spool / "core")
    (recorded,) = running.wait_for_crashes(1)
    return recorded


def states_below(directory: Path, recorded: Crash) -> set[ObjectState]:
    return {each.state for each in recorded.objects or () if each.path.startswith(str(directory))}


@pytest.mark.parametrize("change", [replace, os.unlink])
def test_after_an_upgrade_a_core_of_the_old_build_is_read_with_the_kept_objects(
    running: RunningDaemon, installed: Path, scratch: Path, spool: Path, change: Callable[[Path], None]
) -> None:
    start_with_asterisk(running, installed, spool)
    core = crash(installed, scratch, "segv")
    for path in files_of(installed):
        change(path)

    recorded = collect(running, core, spool)

    assert states_below(installed, recorded) == {ObjectState.KEPT}
    assert recorded.diagnosis.verdict is Verdict.USABLE
    assert "dial_exec_full (chan=" in section_text(running, recorded, Section.THREAD1)
    assert "(from the copy that astbtd kept:" in section_text(running, recorded, Section.INFO)
    check_store_is_consistent(running.store)


def test_modules_that_were_loaded_later_are_kept_when_asterisk_crashes(
    running: RunningDaemon, installed: Path, scratch: Path, spool: Path
) -> None:
    running.start()

    recorded = collect(running, crash(installed, scratch, "segv"), spool)

    kept = KeptObjects(running.store.root)
    assert recorded.objects
    assert all(kept.has(each.build_id) for each in recorded.objects)
    assert kept.path(recorded.objects[0].build_id or "").stat().st_mode & 0o777 == 0o640


def test_a_file_that_a_core_names_but_that_was_not_mapped_is_refused_and_logged(
    running: RunningDaemon, installed: Path, scratch: Path, spool: Path
) -> None:
    core = crash(installed, scratch, "segv")
    module = installed / "modules" / "app_dial.so"
    shutil.copy2("/usr/bin/true", module)
    running.start()

    recorded = collect(running, core, spool)

    kept = KeptObjects(running.store.root).sizes().keys()
    known = {each.build_id for each in recorded.objects or () if each.state is ObjectState.SAME}
    assert kept == known
    assert f"1 file that the core of crash {recorded.id} names cannot be kept, the first: {module}" in running.output()


def test_objects_that_no_core_needs_are_removed(
    running: RunningDaemon, installed: Path, scratch: Path, spool: Path
) -> None:
    running.start()
    recorded = collect(running, crash(installed, scratch, "segv"), spool)
    kept = KeptObjects(running.store.root)
    for build_id in kept.sizes():
        os.utime(kept.path(build_id), (0, 0))
    running.stop()
    before = set(kept.sizes())
    assert run_astbtd(running, "prune").returncode == 0
    assert set(kept.sizes()) == before

    running.store.kept_core(recorded.id).unlink()
    done = run_astbtd(running, "prune")

    assert "no kept core needs it" in done.stdout
    assert kept.sizes() == {}
