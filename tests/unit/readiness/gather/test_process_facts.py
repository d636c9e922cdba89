"""What /proc shows of a process."""

import os
import resource

import pytest

from astbtd.readiness.gather.process_facts import process, unit_in


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
def test_the_unit_of_a_control_group(cgroups: str, unit: str | None) -> None:
    assert unit_in(cgroups) == unit


def test_this_very_process() -> None:
    seen = process(os.getpid())

    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    assert (seen.pid, seen.credentials.uid) == (os.getpid(), os.geteuid())
    assert {os.getegid(), *os.getgroups()} == seen.credentials.groups
    assert (seen.core_limit.soft, seen.core_limit.hard) == tuple(
        None if limit == resource.RLIM_INFINITY else limit for limit in (soft, hard)
    )
    assert 0 < seen.resident < seen.writable
    assert seen.dumpable


def test_a_process_that_is_gone() -> None:
    with pytest.raises(FileNotFoundError):
        process(0x7FFFFFFF)
