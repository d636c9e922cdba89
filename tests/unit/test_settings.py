"""The configuration: right by default, documented key by key, refused with every error at once."""

import dataclasses
import os
import re
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from astbtd import settings
from astbtd.errors import BadConfiguration, ExitCode
from astbtd.model.crash import CoreAction
from astbtd.settings import Settings

DOCUMENTED = Path(__file__).parents[2] / "etc" / "astbtd.yaml"

as_root = pytest.mark.root


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(BadConfiguration) as caught:
        settings.parse(text.encode(), "astbtd.yaml")
    return caught.value.problems


def refusal(path: Path) -> str:
    with pytest.raises(BadConfiguration) as caught:
        settings.load(path)
    assert caught.value.exit_code is ExitCode.BAD_CONFIGURATION
    return "\n".join(caught.value.problems)


def test_a_configuration_as_installed_is_read_without_loading_yaml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)

    assert settings.parse(DOCUMENTED.read_bytes(), "astbtd.yaml") == Settings()


def uncommented(text: str) -> str:
    """A documented configuration with every key in force: comments have a space after '#', keys have none."""
    return re.sub(r"^( *)#(?=\S)", r"\1", text, flags=re.MULTILINE)


def keys(data: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in data.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{key}.")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "astbtd.yaml"
    path.write_text("store: /srv/crashes\n")
    path.chmod(0o644)
    return path


def test_the_documented_configuration_has_only_comments_and_defaults() -> None:
    assert settings.parse(DOCUMENTED.read_bytes(), "etc") == Settings()


def test_every_documented_default_is_the_default() -> None:
    assert settings.parse(uncommented(DOCUMENTED.read_text()).encode(), "etc") == Settings()


def test_every_key_is_documented_and_no_other() -> None:
    documented = yaml.safe_load(uncommented(DOCUMENTED.read_text()))

    assert sorted(keys(documented)) == sorted(keys(dataclasses.asdict(Settings())))


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_gives_the_defaults(text: str) -> None:
    assert settings.parse(text.encode(), "etc") == Settings()


def test_values_are_typed() -> None:
    text = "{cores: {action: delete}, gdb: {time: 2min, address_space: 2G}, watch: {directories: [/srv//cores/]}}"

    changed = settings.parse(text.encode(), "etc")

    assert changed.cores.action is CoreAction.DELETE
    assert (changed.gdb.time, changed.gdb.address_space) == (120, 2 << 30)
    assert changed.watch.directories == ("/srv/cores",)


def test_an_omitted_limit_keeps_its_default() -> None:
    changed = settings.parse(b"retention: {cores: {age: 1d}}", "etc")

    assert changed.retention.cores == dataclasses.replace(Settings().retention.cores, age=86400)


def test_null_means_no_limit() -> None:
    changed = settings.parse(b"retention: {cores: {age: null, size: null, count: null, per_signature: null}}", "etc")

    assert changed.retention.cores == settings.Limits()


def test_every_error_is_reported_at_once_with_its_key_path() -> None:
    text = "{stroe: /x, cores: {action: eat}, gdb: {time: long, program: [gdb]}, watch: {directories: [tmp]}}"

    assert [problem.split(":")[0] for problem in problems_of(text)] == [
        "stroe",
        "watch.directories[0]",
        "cores.action",
        "gdb.program",
        "gdb.time",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("store: crashes", "store: must be an absolute path, not 'crashes'"),
        ('store: "/a\\0b"', "store: must be an absolute path, not '/a\\x00b'"),
        ("watch: {rescan: 0s}", "watch.rescan: must be a duration such as 30s, 5min, 2h, 14d, 1y, at least 1"),
        ("gdb: {address_space: 1M}", "gdb.address_space: must be a size such as 64M or 10G"),
        ("gdb: {output: 1K}", "gdb.output: must be a size such as 64M or 10G"),
        ("gdb: {backtrace_limit: 9}", "gdb.backtrace_limit: must be a whole number, at least 10, not 9"),
        ("gdb: {backtrace_limit: 10.5}", "gdb.backtrace_limit: must be a whole number, at least 10, not 10.5"),
        ("gdb: {backtrace_limit: true}", "gdb.backtrace_limit: must be a whole number, at least 10, not True"),
        ("gdb: {program: ./gdb}", "gdb.program: must be the name of a program or its absolute path, not './gdb'"),
        ("gdb: {program: -x}", "gdb.program: must be the name of a program or its absolute path, not '-x'"),
        ("gdb: {user: a b}", "gdb.user: must be a name of letters, digits"),
        ("retention: {minimum_free: 95%}", "retention.minimum_free: must be a percentage from 0% to 90%, not '95%'"),
        ("retention: {minimum_free: 0.1}", "retention.minimum_free: must be a percentage from 0% to 90%, not 0.1"),
        ("retention: {texts: {count: -1}}", "retention.texts.count: must be a whole number, at least 0, not -1"),
        ("cores: {action: keep}", "cores.action: must be one of move, leave, delete, not 'keep'"),
        ("asterisk: {executables: asterisk}", "asterisk.executables: must be a list, not 'asterisk'"),
        ("gdb:", "gdb: must be a mapping, not None"),
        ("gdb: {tiem: 1s}", "gdb.tiem: unknown key; valid keys: program, user, time,"),
        ("- store", "the document: must be a mapping, not ['store']"),
        ("store", "the document: must be a mapping, not 'store'"),
    ],
)
def test_an_error_names_the_allowed_values(text: str, problem: str) -> None:
    (found,) = problems_of(text)

    assert found.startswith(problem)


@pytest.mark.parametrize("text", ["a: [", "a: b: c", "\tx: 1", "? !!bool x", "x: !!timestamp never", "x: 2026-99-99"])
def test_invalid_yaml_is_reported_on_one_line(text: str) -> None:
    (found,) = problems_of(text)

    assert found.startswith("invalid YAML: ")
    assert "\n" not in found


def test_yaml_cannot_make_objects() -> None:
    (found,) = problems_of("store: !!python/object/apply:os.system [id]")

    assert "invalid YAML" in found


@given(st.binary() | st.text().map(str.encode))
def test_any_file_gives_settings_or_is_a_bad_configuration(text: bytes) -> None:
    with suppress(BadConfiguration):
        assert isinstance(settings.parse(text, "junk"), Settings)


def test_the_message_counts_the_errors_and_names_the_file() -> None:
    with pytest.raises(BadConfiguration) as caught:
        settings.parse(b"{a: 1, b: 2}", "/etc/astbtd.yaml")

    assert caught.value.message.startswith("/etc/astbtd.yaml: 2 errors\n  a: unknown key")
    assert "check-config" in caught.value.remedy


def test_a_file_is_read(file: Path) -> None:
    assert settings.load(file).store == "/srv/crashes"


def test_without_a_default_file_the_defaults_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "DEFAULT_FILE", tmp_path / "absent.yaml")

    assert settings.load(None) == Settings()


def test_an_explicitly_named_file_must_exist(tmp_path: Path) -> None:
    assert refusal(tmp_path / "absent.yaml") == "does not exist"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "cannot be read: Is a directory"


def test_a_device_is_refused() -> None:
    assert "not a regular file" in refusal(Path("/dev/zero"))


def test_a_fifo_is_refused_without_blocking(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")

    assert "not a regular file" in refusal(tmp_path / "fifo")


def test_a_file_that_is_too_large_is_refused(file: Path) -> None:
    file.write_bytes(b"#" * ((1 << 20) + 1))

    assert "larger than 1 MiB" in refusal(file)


@as_root
@pytest.mark.parametrize("mode", [0o664, 0o646, 0o666])
def test_root_refuses_a_file_that_others_can_write(file: Path, mode: int) -> None:
    file.chmod(mode)

    assert "writable by users other than root" in refusal(file)


@as_root
def test_root_refuses_a_file_of_another_user(file: Path) -> None:
    os.chown(file, 1, -1)

    assert "writable by users other than root" in refusal(file)


@as_root
@pytest.mark.parametrize("mode", [0o775, 0o757, 0o777])
def test_root_refuses_a_file_in_a_directory_that_others_can_write(file: Path, mode: int) -> None:
    file.parent.chmod(mode)

    assert f"its directory {file.parent} is writable by users other than root" in refusal(file)


@as_root
def test_root_refuses_a_file_below_a_directory_of_another_user(file: Path) -> None:
    os.chown(file.parent, 1, -1)

    assert f"its directory {file.parent} is writable by users other than root" in refusal(file)


@as_root
def test_a_link_does_not_hide_a_directory_that_others_can_write(file: Path, tmp_path: Path) -> None:
    safe = tmp_path / "safe"
    safe.mkdir(0o755)
    (safe / "link.yaml").symlink_to(file)
    file.parent.chmod(0o777)

    assert "writable by users other than root" in refusal(safe / "link.yaml")


@as_root
def test_root_reports_all_permission_problems_at_once(file: Path) -> None:
    file.chmod(0o666)
    file.parent.chmod(0o777)

    assert len(refusal(file).splitlines()) == 2


@as_root
def test_a_sticky_directory_protects_the_files_of_root(file: Path) -> None:
    file.parent.chmod(0o777 | stat.S_ISVTX)

    assert settings.load(file).store == "/srv/crashes"
