"""Which directories are watched, and the reasons why others are not."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from astbtd.asterisk.asterisk_processes import RunningAsterisk
from astbtd.lib.mounts import Mounts
from astbtd.sources import core_pattern, known_directories, watched_directories
from astbtd.sources.collectors.apport import Apport
from astbtd.sources.collectors.collector import Collector
from astbtd.sources.collectors.systemd_coredump import SystemdCoredump
from astbtd.sources.dump_globs import globs_to_remember
from astbtd.sources.watched_directories import WatchedDirectories, WatchedDirectory

HERE = RunningAsterisk(100, "/var/lib/asterisk")
THERE = RunningAsterisk(200, "/srv/second")
HIDDEN = RunningAsterisk(300, None, "its working directory /tmp is private to it")
PRIVATE = f"/tmp/systemd-private-{'0f' * 16}-pbx.service-a1B2c3/tmp"
IN_PRIVATE = RunningAsterisk(400, "/var/lib/asterisk", private_directories=(("/tmp", PRIVATE),))


def combined(
    pattern: str,
    running: Sequence[RunningAsterisk] = (),
    configured: Sequence[str] = (),
    collections: Mapping[str, Collector] | None = None,
) -> WatchedDirectories:
    return watched_directories.combine(
        configured,
        core_pattern.parse(pattern),
        running,
        "/nonexistent/run/asterisk",
        Mounts.current(),
        collections or {},
    )


def test_a_relative_pattern_selects_every_working_directory() -> None:
    assert combined("core", [HERE, THERE]).core_directories == ("/var/lib/asterisk", "/srv/second")


def test_a_relative_pattern_with_a_directory_selects_it_below_the_working_directory() -> None:
    assert combined("cores/core.%p", [HERE]).core_directories == ("/var/lib/asterisk", "/var/lib/asterisk/cores")


def test_an_absolute_pattern_adds_its_directory() -> None:
    assert combined("/srv/dumps/core.%p", [HERE]).core_directories == ("/var/lib/asterisk", "/srv/dumps")


def test_an_absolute_pattern_adds_the_private_tmp_of_a_service() -> None:
    found = combined("/tmp/core-%e-%t", [HERE, IN_PRIVATE])

    assert found.core_directories == ("/var/lib/asterisk", "/tmp", PRIVATE)
    assert found.describe(PRIVATE).volatile_pattern == found.pattern
    assert combined("core", [HERE]).describe("/var/lib/asterisk") == WatchedDirectory("/var/lib/asterisk")


def test_the_private_tmp_after_a_restart_is_remembered_as_a_glob(tmp_path: Path) -> None:
    memory = tmp_path / "memory"

    known_directories.remember(memory, globs_to_remember(core_pattern.parse("/tmp/core"), [IN_PRIVATE]), 1.0, None)
    learned = known_directories.remember(memory, [], 2.0, None)

    assert learned == ["/var/lib/asterisk", "/tmp/systemd-private-*-pbx.service-*/tmp"]


def test_a_pattern_with_specifiers_selects_the_matches_and_their_parent(tmp_path: Path) -> None:
    (tmp_path / "asterisk").mkdir()

    found = combined(f"{tmp_path}/%e/core.%p")

    assert found.core_directories == (f"{tmp_path}/asterisk",)
    assert found.parents == (str(tmp_path),)


def test_a_relative_pattern_with_specifiers_selects_matches_below_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "110").mkdir()

    found = combined("%u/core", [RunningAsterisk(100, str(tmp_path))])

    assert found.core_directories == (str(tmp_path), f"{tmp_path}/110")
    assert found.parents == (str(tmp_path),)


def test_the_next_core_is_expected_where_the_active_collector_stores_it(tmp_path: Path) -> None:
    collections: dict[str, Collector] = {str(tmp_path): SystemdCoredump(), "/nonexistent": Apport()}

    idle = combined("core", [HERE], collections=collections)
    active = combined("|/usr/lib/systemd/systemd-coredump %P", [HERE], collections=collections)

    assert (idle.searched, idle.expected) == (("/var/lib/asterisk", str(tmp_path)), ("/var/lib/asterisk",))
    assert active.expected == ("/var/lib/asterisk", str(tmp_path))
    assert active.unwatched == ()


def test_the_missing_directory_of_an_active_collector_is_watched() -> None:
    assert combined("|/usr/share/apport/apport -p%p", collections={"/nonexistent": Apport()}).searched == (
        "/nonexistent",
    )


def test_a_directory_can_be_both_a_collectors_and_the_kernels(tmp_path: Path) -> None:
    found = combined(f"{tmp_path}/core.%e", collections={str(tmp_path): Apport()})

    assert found.describe(str(tmp_path)) == WatchedDirectory(str(tmp_path), kernel_writes=True, collector=Apport())


def test_configured_directories_come_first_and_nothing_twice() -> None:
    found = combined("/srv/dumps/core", [HERE, HERE], ["/srv/dumps", "/srv/dumps/../dumps", "/srv/more"])

    assert found.core_directories == ("/srv/dumps", "/srv/more", "/var/lib/asterisk")


def test_an_unknown_helper_is_reported_and_the_rest_is_watched() -> None:
    found = combined("|/usr/local/bin/keep-core %P", [HERE])

    assert found.core_directories == ("/var/lib/asterisk",)
    assert found.unwatched == (
        "core_pattern '|/usr/local/bin/keep-core %P' pipes cores to a program: "
        "add the directory where it stores them to watch.directories",
    )


def test_the_directory_of_an_unknown_helper_can_be_configured() -> None:
    found = combined("|/usr/local/bin/keep-core %P", [HERE], ["/srv/more"])

    assert found.core_directories == ("/srv/more", "/var/lib/asterisk")
    assert found.unwatched == ()


def test_an_asterisk_with_a_hidden_directory_is_reported() -> None:
    found = combined("core", [HIDDEN, HERE])

    assert found.core_directories == ("/var/lib/asterisk",)
    assert found.unwatched == ("Asterisk, pid 300: its working directory /tmp is private to it",)


def test_the_run_directory_is_watched_only_for_starts() -> None:
    found = combined("core", [HERE])

    assert found.run_directories == ("/nonexistent/run/asterisk",)
    assert "/nonexistent/run/asterisk" not in found.core_directories


def test_symbolic_links_to_configured_directories_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    found = combined("core", configured=[str(tmp_path / "link"), str(tmp_path / "real")])

    assert found.core_directories == (str((tmp_path / "real").resolve()),)
