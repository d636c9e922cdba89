"""Settings of the notifications: what is accepted, and that no secret stays in a file that everybody can read."""

import pytest

from astbtd import settings
from astbtd.errors import BadConfiguration


def problems(text: str) -> str:
    """Return the errors of a configuration."""
    with pytest.raises(BadConfiguration) as raised:
        settings.parse(text.encode(), "test")
    return raised.value.message


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("notify: {mail: {password: hunter2}}", "notify.mail.password"),
        ("notify: {mail: {password: null, to: [ops@x.org]}}", "notify.mail.password"),
        ("notify: {sentry: {dsn: 'https://hunter2@x/1'}}", "notify.sentry"),
        ("notify: {chat: {url: 'slack://hunter2'}}", "notify.chat"),
        ("notify: {chat: ['slack://hunter2/b/c']}", "notify.chat"),
        ("notify: {chat: 'slack://hunter2'}", "notify.chat"),
        ("notify: {mail: {server: 'bob:hunter2@mail.example.org'}}", "notify.mail.server"),
        ("notify: {mail: {to: ['bob:hunter2@example.org:25']}}", "notify.mail.to"),
    ],
)
def test_a_secret_is_refused_and_not_repeated(text: str, key: str) -> None:
    message = problems(text)

    assert key in message
    assert "hunter2" not in message


def test_the_error_says_where_a_secret_belongs_and_other_errors_are_still_reported() -> None:
    message = problems("notify: {mail: {password: hunter2, port: 0}}\nstore: relative")

    assert "write it below `mail` in /etc/astbtd.secrets, mode 0600, and change it where it was readable" in message
    assert "notify.mail.port: must be a port" in message
    assert "store: must be an absolute path" in message


@pytest.mark.parametrize("to", ["ops@example.org", "root", "first.last+tag@sub.example.org", "o'neil@example.org"])
def test_mail_addresses_and_users_are_recipients(to: str) -> None:
    parsed = settings.parse(f'notify: {{mail: {{to: ["{to}"]}}}}'.encode(), "test")

    assert parsed.notify.mail.to == (to,)


@pytest.mark.parametrize(
    "to", ["a@b, c@d", "a@b\\nBcc: c@d", "Bob <a@b>", "a b@c", "@x", "a@", "-x", "a@b@c", "", "\\u00e4@example.org"]
)
def test_what_could_be_several_addresses_or_a_header_is_none(to: str) -> None:
    assert "notify.mail.to[0]: must be a mail address" in problems(f'notify: {{mail: {{to: ["{to}"]}}}}')


@pytest.mark.parametrize("name", ["ops", "team-1", "0x"])
def test_names_of_chats(name: str) -> None:
    assert settings.parse(f"notify: {{chat: [{name!r}]}}".encode(), "test").notify.chat == (name,)


@pytest.mark.parametrize("name", ["../x", "Ops", "a/b", "a b", "", "-a"])
def test_a_name_that_could_be_a_path_is_refused(name: str) -> None:
    assert "notify.chat[0]" in problems(f"notify: {{chat: [{name!r}]}}")
