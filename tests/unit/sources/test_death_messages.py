"""Messages about deaths are believed only if the kernel or the service manager has written them."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from astbtd.sources.death_messages import KernelMessage, UnitExit, parse_entry

AT = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
BOOT = UUID("0f" * 16)
KERNEL: dict[str, object] = {"__REALTIME_TIMESTAMP": AT, "_TRANSPORT": "kernel", "_BOOT_ID": BOOT}
UNIT: dict[str, object] = {
    "__REALTIME_TIMESTAMP": AT,
    "_PID": 1,
    "_UID": 0,
    "_BOOT_ID": BOOT,
    "MESSAGE_ID": UUID("98e322203f7a4ed290d09fe03c09fe15"),
    "UNIT": "asterisk.service",
    "INVOCATION_ID": "ab" * 16,
    "EXIT_CODE": "dumped",
    "EXIT_STATUS": 11,
}


def test_a_fault_has_its_signal_its_module_and_the_offset() -> None:
    line = "asterisk[4243]: segfault at 10 ip 00007f1200001234 sp 0 error 4 in app_dial.so[7f1200000000+9000]"

    message = parse_entry({**KERNEL, "MESSAGE": line})

    expected = KernelMessage(AT, "0f" * 16, 4243, "asterisk", "SIGSEGV", False, line, "app_dial.so", 0x1234)
    assert message == expected


@pytest.mark.parametrize(
    "line",
    [
        "Out of memory: Killed process 4242 (asterisk) total-vm:9kB, anon-rss:8kB, UID:110",
        "Memory cgroup out of memory: Killed process 4242 (asterisk) total-vm:9kB",
    ],
)
def test_the_oom_killer_names_the_process(line: str) -> None:
    assert parse_entry({**KERNEL, "MESSAGE": line}) == KernelMessage(
        AT, "0f" * 16, 4242, "asterisk", "SIGKILL", True, line
    )


def test_the_service_manager_names_the_unit_and_the_signal() -> None:
    expected = UnitExit(AT, "0f" * 16, "asterisk.service", "ab" * 16, "SIGSEGV", True)

    assert parse_entry(UNIT) == expected


@pytest.mark.parametrize(
    "entry",
    [
        {**KERNEL, "_TRANSPORT": "syslog", "MESSAGE": "asterisk[1]: segfault at 1 ip 2 sp 3 error 4"},
        {**KERNEL, "MESSAGE": "asterisk[1]: some other line"},
        {**KERNEL, "MESSAGE": ""},
        {**KERNEL, "__REALTIME_TIMESTAMP": None, "MESSAGE": "Killed process 1 (asterisk)"},
        {**UNIT, "_PID": 2},
        {**UNIT, "_UID": 1000},
        {**UNIT, "EXIT_CODE": "exited", "EXIT_STATUS": 1},
        {**UNIT, "EXIT_STATUS": 15},
        {**UNIT, "MESSAGE_ID": UUID(int=0)},
    ],
)
def test_other_entries_say_nothing(entry: dict[str, object]) -> None:
    assert parse_entry(entry) is None
