"""Which directories are watched, and what is said of those that cannot be."""

from collections.abc import Sequence
from pathlib import Path

from astbtd.intake import core_pattern, places
from astbtd.intake.asterisk import RunningAsterisk
from astbtd.intake.file_system import Mounts
from astbtd.intake.places import Places

HERE = RunningAsterisk(100, "/var/lib/asterisk")
THERE = RunningAsterisk(200, "/srv/second")
HIDDEN = RunningAsterisk(300, None, "its working directory /tmp is private to it")


def combined(pattern: str, running: Sequence[RunningAsterisk] = (), configured: Sequence[str] = ()) -> Places:
    return places.combine(configured, core_pattern.parse(pattern), running, "/nonexistent/run/asterisk", Mounts.now())


def test_a_relative_pattern_leads_to_every_working_directory() -> None:
    assert combined("core", [HERE, THERE]).cores == ("/var/lib/asterisk", "/srv/second")


def test_a_relative_pattern_with_a_directory_leads_below_the_working_directories() -> None:
    assert combined("cores/core.%p", [HERE]).cores == ("/var/lib/asterisk", "/var/lib/asterisk/cores")


def test_an_absolute_pattern_leads_to_its_directory_besides() -> None:
    assert combined("/srv/dumps/core.%p", [HERE]).cores == ("/var/lib/asterisk", "/srv/dumps")


def test_what_is_configured_comes_first_and_nothing_comes_twice() -> None:
    found = combined("/srv/dumps/core", [HERE, HERE], ["/srv/dumps", "/srv/dumps/../dumps", "/srv/more"])

    assert found.cores == ("/srv/dumps", "/srv/more", "/var/lib/asterisk")


def test_a_pattern_that_is_not_watched_is_said_and_the_rest_is_still_watched() -> None:
    found = combined("|/usr/lib/systemd/systemd-coredump %P", [HERE], ["/srv/more"])

    assert found.cores == ("/srv/more", "/var/lib/asterisk")
    assert found.unwatched == ("core_pattern '|/usr/lib/systemd/systemd-coredump %P' hands cores to a program",)


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
