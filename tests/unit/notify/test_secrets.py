"""The secrets: only root's, and in no error message."""

import os
from pathlib import Path

import pytest

from astbtd.errors import AstbtdError
from astbtd.notify.secrets import Secrets, load_secrets

TEXT = "mail: {password: hunter2}\nchat: {ops: 'slack://a/b/c'}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "astbtd.secrets"
    path.write_text(TEXT)
    path.chmod(0o600)
    return path


def test_the_file_of_root_is_read(file: Path) -> None:
    secrets = load_secrets({}, file)

    assert secrets.mail.password == "hunter2"  # noqa: S105 # of the file above
    assert secrets.chat == {"ops": "slack://a/b/c"}


def test_a_credential_has_precedence_over_the_file(file: Path, tmp_path: Path) -> None:
    (tmp_path / "secrets").write_text("chat: {ops: 'x://'}")

    assert load_secrets({"CREDENTIALS_DIRECTORY": str(tmp_path)}, file).chat == {"ops": "x://"}


@pytest.mark.parametrize("text", ["", "# nothing\n"])
def test_there_may_be_none(file: Path, tmp_path: Path, text: str) -> None:
    file.write_text(text)

    assert load_secrets({}, file) == Secrets()
    assert load_secrets({}, tmp_path / "missing") == Secrets()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_file_that_others_can_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)

    with pytest.raises(AstbtdError, match="not only root's") as raised:
        load_secrets({}, file)
    assert "chmod 600" in raised.value.remedy


@pytest.mark.root
def test_a_file_of_another_user_is_refused(file: Path) -> None:
    os.chown(file, 65534, 65534)

    with pytest.raises(AstbtdError, match="not only root's"):
        load_secrets({}, file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mail: {password: [hunter2]}", "mail.password"),
        ("mail: hunter2", "mail"),
        ("hunter2: hunter2", "invalid values"),
        ("mail: {password: hunter2", "not valid YAML"),
        ("mail: !!python/object:hunter2 {}", "not valid YAML"),
        ("- hunter2", "invalid values"),
        ("chat: {ops: 5, hunter2: {x: hunter2}}", "chat.ops"),
    ],
)
def test_an_error_says_where_and_never_what(file: Path, text: str, said: str) -> None:
    file.write_text(text)

    with pytest.raises(AstbtdError) as raised:
        load_secrets({}, file)
    assert said in raised.value.message
    value_parts = raised.value.message.replace("hunter2: unknown", "")
    assert ": hunter2" not in value_parts
    assert "'hunter2'" not in value_parts


def test_a_directory_is_an_error_and_no_crash(tmp_path: Path) -> None:
    with pytest.raises(AstbtdError, match="cannot read the secrets"):
        load_secrets({}, tmp_path)
