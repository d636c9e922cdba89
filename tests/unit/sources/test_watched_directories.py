"""Which directories are watched, and what is said of those that cannot be."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from astbtd.asterisk.asterisk_processes import RunningAsterisk
from astbtd.lib.mounts import Mounts
from astbtd.sources import core_pattern, watched_directories
from astbtd.sources.collectors.apport import Apport
from astbtd.sources.collectors.collector import Collector
from astbtd.sources.collectors.systemd_coredump import SystemdCoredump
from astbtd.sources.spot import WatchedDirectory
from astbtd.sources.watched_directories import WatchedDirectories

HERE = RunningAsterisk(100, "/var/lib/asterisk")
THERE = RunningAsterisk(200, "/srv/second")
HIDDEN = RunningAsterisk(300, None, "its working directory /tmp is private to it")
PRIVATE = f"/tmp/systemd-private-{'0f' * 16}-pbx.service-a1B2c3/tmp"
IN_PRIVATE = RunningAsterisk(400, "/var/lib/asterisk", private=(("/tmp", PRIVATE),))


def combined(
    pattern: str,
    running: Sequence[RunningAsterisk] = (),
    configured: Sequence[str] = (),
    collected: Mapping[str, Collector] | None = None,
) -> WatchedDirectories:
    return watched_directories.combine(
        configured,
        core_pattern.parse(pattern),
        running,
        "/nonexistent/run/asterisk",
        Mounts.now(),
        collected or {},
    )


def test_a_relative_pattern_leads_to_every_working_directory() -> None:
    assert combined("core", [HERE, THERE]).cores == ("/var/lib/asterisk", "/srv/second")


def test_a_relative_pattern_with_a_directory_leads_below_the_working_directories() -> None:
    assert combined("cores/core.%p", [HERE]).cores == ("/var/lib/asterisk", "/var/lib/asterisk/cores")


def test_an_absolute_pattern_leads_to_its_directory_besides() -> None:
    assert combined("/srv/dumps/core.%p", [HERE]).cores == ("/var/lib/asterisk", "/srv/dumps")


def test_an_absolute_pattern_leads_into_the_private_directory_of_a_service() -> None:
    found = combined("/tmp/core-%e-%t", [HERE, IN_PRIVATE])

    assert found.cores == ("/var/lib/asterisk", "/tmp", PRIVATE)
    assert found.spot(PRIVATE).fleeting == found.pattern
    assert combined("core", [HERE]).spot("/var/lib/asterisk") == WatchedDirectory("/var/lib/asterisk")


def test_the_private_directories_of_the_next_start_are_awaited(tmp_path: Path) -> None:
    memory = tmp_path / "memory"

    watched_directories.remember(memory, core_pattern.parse("/tmp/core"), [IN_PRIVATE])
    learned = watched_directories.remember(memory, core_pattern.parse("/tmp/core"), [])

    assert learned == ["/var/lib/asterisk", "/tmp/systemd-private-*-pbx.service-*/tmp"]


def test_a_pattern_that_varies_leads_to_what_is_there_and_to_what_will_be(tmp_path: Path) -> None:
    (tmp_path / "asterisk").mkdir()

    found = combined(f"{tmp_path}/%e/core.%p")

    assert found.cores == (f"{tmp_path}/asterisk",)
    assert found.parents == (str(tmp_path),)


def test_a_pattern_that_varies_below_the_working_directory_does_so_too(tmp_path: Path) -> None:
    (tmp_path / "110").mkdir()

    found = combined("%u/core", [RunningAsterisk(100, str(tmp_path))])

    assert found.cores == (str(tmp_path), f"{tmp_path}/110")
    assert found.parents == (str(tmp_path),)


def test_a_collection_is_expected_to_grow_where_its_collector_is_at_work(tmp_path: Path) -> None:
    collected: dict[str, Collector] = {str(tmp_path): SystemdCoredump(), "/nonexistent": Apport()}

    idle = combined("core", [HERE], collected=collected)
    at_work = combined("|/usr/lib/systemd/systemd-coredump %P", [HERE], collected=collected)

    assert (idle.searched, idle.expected) == (("/var/lib/asterisk", str(tmp_path)), ("/var/lib/asterisk",))
    assert at_work.expected == ("/var/lib/asterisk", str(tmp_path))
    assert at_work.unwatched == ()


def test_a_collection_that_is_to_come_is_awaited() -> None:
    assert combined("|/usr/share/apport/apport -p%p", collected={"/nonexistent": Apport()}).searched == (
        "/nonexistent",
    )


def test_a_directory_can_be_a_collection_and_where_the_kernel_writes(tmp_path: Path) -> None:
    found = combined(f"{tmp_path}/core.%e", collected={str(tmp_path): Apport()})

    assert found.spot(str(tmp_path)) == WatchedDirectory(str(tmp_path), plain=True, collector=Apport())


def test_what_is_configured_comes_first_and_nothing_comes_twice() -> None:
    found = combined("/srv/dumps/core", [HERE, HERE], ["/srv/dumps", "/srv/dumps/../dumps", "/srv/more"])

    assert found.cores == ("/srv/dumps", "/srv/more", "/var/lib/asterisk")


def test_a_program_that_nobody_knows_is_said_and_the_rest_is_still_watched() -> None:
    found = combined("|/usr/local/bin/keep-core %P", [HERE])

    assert found.cores == ("/var/lib/asterisk",)
    assert found.unwatched == (
        "core_pattern '|/usr/local/bin/keep-core %P' hands cores to a program: "
        "name in watch.directories where it keeps them",
    )


def test_where_a_program_keeps_its_cores_can_be_configured() -> None:
    found = combined("|/usr/local/bin/keep-core %P", [HERE], ["/srv/more"])

    assert found.cores == ("/srv/more", "/var/lib/asterisk")
    assert found.unwatched == ()


def test_an_asterisk_whose_directory_is_hidden_is_said() -> None:
    found = combined("core", [HIDDEN, HERE])

    assert found.cores == ("/var/lib/asterisk",)
    assert found.unwatched == ("Asterisk, pid 300: its working directory /tmp is private to it",)


def test_the_run_directory_is_watched_for_starts_only() -> None:
    found = combined("core", [HERE])

    assert found.starts == ("/nonexistent/run/asterisk",)
    assert "/nonexistent/run/asterisk" not in found.cores


def test_directories_are_known_by_their_real_names(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")

    found = combined("core", configured=[str(tmp_path / "link"), str(tmp_path / "real")])

    assert found.cores == (str((tmp_path / "real").resolve()),)
