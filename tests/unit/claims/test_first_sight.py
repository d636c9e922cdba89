"""What is remembered about the first sight of a directory."""

from pathlib import Path

from astbtd.claims.first_sight import FirstSight


def test_a_directory_is_new_until_its_first_sight_is_recorded(tmp_path: Path) -> None:
    sight = FirstSight(tmp_path / "memory")
    assert sight.is_new("/srv/archive")

    sight.record("/srv/archive", [], [])

    assert not sight.is_new("/srv/archive")
    assert not FirstSight(tmp_path / "memory").is_new("/srv/archive")


def test_the_newest_and_the_old_files_are_recognized_after_a_restart(tmp_path: Path) -> None:
    for name in ("newest", "old", "later"):
        (tmp_path / name).write_bytes(name.encode())
    newest, old, later = ((tmp_path / name).stat() for name in ("newest", "old", "later"))
    FirstSight(tmp_path / "memory").record("/srv/archive", [newest], [old])

    sight = FirstSight(tmp_path / "memory")

    assert (sight.is_newest(newest), sight.is_old(newest)) == (True, False)
    assert (sight.is_newest(old), sight.is_old(old)) == (False, True)
    assert (sight.is_newest(later), sight.is_old(later)) == (False, False)


def test_directories_that_an_earlier_version_has_searched_are_not_new(tmp_path: Path) -> None:
    FirstSight(tmp_path / "memory", ["/srv/pbx", "/tmp/systemd-private-*-pbx.service-*/tmp"])

    sight = FirstSight(tmp_path / "memory", ["/srv/archive"])

    assert not sight.is_new("/srv/pbx")
    assert not sight.is_new("/tmp/systemd-private-1-pbx.service-2/tmp")
    assert sight.is_new("/srv/archive")
