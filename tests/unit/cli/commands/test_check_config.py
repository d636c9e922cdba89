"""`astbtd check-config` rejects what the configuration names but the machine does not have."""

from pathlib import Path

import pytest

from tests.support.cli_types import Run


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("gdb: {user: no-such-user}", "gdb.user: there is no user no-such-user"),
        ("gdb: {user: '0'}", "gdb.user: there is no user 0"),
        ("gdb: {user: root}", "gdb.user: gdb must not run as root"),
        ("metrics: {textfile: /no/such}", "metrics.textfile: /no/such does not exist"),
        ("notify: {sentry: {ca_file: /no/such.pem}}", "notify.sentry.ca_file: /no/such.pem does not exist"),
        ("asterisk: {users: [root, no-such-user]}", "asterisk.users[1]: there is no user no-such-user"),
        ("asterisk: {users: [4294967000]}", "asterisk.users[0]: there is no user 4294967000"),
        ("gdb: {program: no-such-gdb}", "gdb.program: there is no executable program no-such-gdb"),
        ("gdb: {program: /etc/passwd}", "gdb.program: there is no executable program /etc/passwd"),
        ("watch: {directories: [/, /no/such]}", "watch.directories[1]: /no/such does not exist"),
        ("watch: {poll: [/etc/passwd]}", "watch.poll[0]: /etc/passwd is not a directory"),
        ("collectors: {abrt: [/no/such]}", "collectors.abrt[0]: /no/such does not exist"),
        ("gdb: {container_root: /no/such}", "gdb.container_root: /no/such does not exist"),
        ("asterisk: {configuration: /no/such.conf}", "asterisk.configuration: /no/such.conf does not exist"),
        ("gdb: {time: 5min, time: 6min}", "gdb.time: given twice, in lines 1 and 1"),
        ("store: /a\nwatch: {rescan: 5min}\nstore: /b\n", "store: given twice, in lines 1 and 3"),
    ],
)
def test_a_configuration_of_what_does_not_exist_is_rejected(
    run: Run, configuration: Path, text: str, error: str
) -> None:
    configuration.write_text(text)

    answer = run("--config", configuration, "check-config")

    assert (answer.code, answer.out) == (78, "")
    assert f"  {error}\n" in answer.err


def test_all_that_does_not_exist_is_reported_at_once(run: Run, configuration: Path) -> None:
    configuration.write_text("gdb: {user: no-such-user, program: no-such-gdb}\nwatch: {directories: [/no/such]}\n")

    assert "3 errors" in run("--config", configuration, "check-config").err


@pytest.mark.parametrize(
    "text", ["watch: {directories: [/tmp, '/no/such/*']}", "gdb: {program: sh, user: nobody}", "asterisk: {users: [0]}"]
)
def test_a_configuration_of_what_exists_is_accepted(run: Run, configuration: Path, text: str) -> None:
    configuration.write_text(text)

    assert run("--config", configuration, "check-config").code == 0
