"""Facts about a process from /proc."""

import os
import resource

import pytest

from astbtd.readiness.gather.process_facts import parse_unit_name, read_process


@pytest.mark.parametrize(
    ("cgroups", "unit"),
    [
        ("0::/system.slice/asterisk.service\n", "asterisk.service"),
        ("9:name=systemd:/\n1:cpu:/\n0::/system.slice/asterisk.service\n", "asterisk.service"),
        (
            "4:memory:/system.slice/asterisk.service\n1:name=systemd:/system.slice/asterisk.service\n",
            "asterisk.service",
        ),
        ("0::/system.slice/asterisk.service/payload\n", "asterisk.service"),
        ("0::/system.slice/system-asterisk.slice/asterisk@a:b.service\n", "asterisk@a:b.service"),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", None),
        ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/app.service\n", None),
        ("0::/\n", None),
        ("", None),
    ],
)
def test_the_unit_is_parsed_from_the_control_group(cgroups: str, unit: str | None) -> None:
    assert parse_unit_name(cgroups) == unit


def test_the_current_process() -> None:
    found = read_process(os.getpid())

    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    assert (found.pid, found.credentials.uid) == (os.getpid(), os.geteuid())
    assert {os.getegid(), *os.getgroups()} == found.credentials.groups
    assert (found.core_limit.soft, found.core_limit.hard) == tuple(
        None if limit == resource.RLIM_INFINITY else limit for limit in (soft, hard)
    )
    assert 0 < found.resident < found.writable
    assert found.dumpable


def test_a_process_that_has_ended() -> None:
    with pytest.raises(FileNotFoundError):
        read_process(0x7FFFFFFF)
