"""The files of local settings beside the configuration: merged in order, checked like the configuration itself."""

import os
from pathlib import Path

import pytest

from astbtd import settings
from astbtd.errors import BadConfiguration
from astbtd.model.crash import CoreAction
from astbtd.settings import Settings


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A configuration file, with an empty directory of local settings beside it."""
    (tmp_path / "astbtd.d").mkdir(mode=0o755)
    file = tmp_path / "astbtd.yaml"
    file.write_text("store: /srv/main\nretention: {cores: {age: 7d, count: 5}}\nwatch: {directories: [/a, /b]}\n")
    file.chmod(0o644)
    return file


def add(main: Path, name: str, text: str) -> Path:
    """Write a file of local settings."""
    file = main.with_suffix(".d") / name
    file.write_text(text)
    file.chmod(0o644)
    return file


def refusal(main: Path) -> BadConfiguration:
    with pytest.raises(BadConfiguration) as caught:
        settings.load(main)
    return caught.value


def test_a_local_file_replaces_a_setting(main: Path) -> None:
    add(main, "site.yaml", "store: /srv/site\n")

    assert settings.load(main).store == "/srv/site"


def test_mappings_are_merged_at_every_level(main: Path) -> None:
    add(main, "site.yaml", "retention: {cores: {age: 1d}, every: 2h}\n")

    retention = settings.load(main).retention

    assert (retention.cores.age, retention.cores.count, retention.every) == (86400.0, 5, 7200.0)


def test_lists_are_replaced(main: Path) -> None:
    add(main, "site.yaml", "watch: {directories: [/c]}\n")

    assert settings.load(main).watch.directories == ("/c",)


def test_files_are_read_in_the_order_of_their_names(main: Path) -> None:
    add(main, "20-host.yaml", "cores: {action: leave}\n")
    add(main, "10-site.yaml", "cores: {action: delete}\nstore: /srv/site\n")

    loaded = settings.load(main)

    assert (loaded.cores.action, loaded.store) == (CoreAction.LEAVE, "/srv/site")


@pytest.mark.parametrize("name", ["site.yaml.dpkg-new", "site.yaml~", ".site.yaml", "README", "site.yml"])
def test_files_with_other_names_are_not_read(main: Path, name: str) -> None:
    add(main, name, "store: /srv/site\n")

    assert settings.load(main).store == "/srv/main"


def test_local_files_are_read_without_a_main_file(main: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DEFAULT_FILE", main)
    main.unlink()
    add(main, "site.yaml", "store: /srv/site\n")

    assert settings.load(None) == Settings(store="/srv/site")


def test_an_error_names_the_local_file(main: Path) -> None:
    file = add(main, "site.yaml", "gdb: {time: soon}\n")

    error = refusal(main)

    assert error.origin == str(file)
    assert error.message.startswith(f"{file}: 1 error\n  gdb.time: ")


def test_errors_of_several_files_are_reported_at_once(main: Path) -> None:
    main.write_text("a: 1\n")
    first = add(main, "10-site.yaml", "b: 1\n")
    second = add(main, "20-host.yaml", "[1]\n")

    problems = refusal(main).problems

    assert [problem.split(": ")[0] for problem in problems] == [str(main), str(first), str(second)]


def test_a_link_to_nothing_is_an_error(main: Path) -> None:
    link = main.with_suffix(".d") / "site.yaml"
    link.symlink_to("absent")

    assert refusal(main).message == f"{link}: 1 error\n  does not exist"


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_root_refuses_a_local_file_that_others_can_write(main: Path, mode: int) -> None:
    file = add(main, "site.yaml", "store: /srv/site\n")
    file.chmod(mode)

    error = refusal(main)

    assert error.origin == str(file)
    assert "writable by users other than root" in error.message


@pytest.mark.root
def test_root_refuses_a_local_file_of_another_user(main: Path) -> None:
    os.chown(add(main, "site.yaml", "store: /srv/site\n"), 1, -1)

    assert "writable by users other than root" in refusal(main).message


@pytest.mark.root
def test_root_refuses_local_files_in_a_directory_that_others_can_write(main: Path) -> None:
    add(main, "site.yaml", "store: /srv/site\n")
    main.with_suffix(".d").chmod(0o775)

    assert "its directory" in refusal(main).message
