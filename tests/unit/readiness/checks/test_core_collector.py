"""systemd-coredump's own limits, and its configuration files."""

import pytest

from astbtd.readiness.checks.core_collector import systemd_coredump
from astbtd.readiness.facts import STOPPED, Coredump
from astbtd.readiness.gather.systemd_settings import assignments, size
from astbtd.readiness.result import State
from tests.support.readiness_facts import process, remedy, told

MIB = 1 << 20


def coredump(storage: str = "external", process_size: int | None = None, external: int | None = None) -> Coredump:
    return Coredump(storage, process_size, external)


def test_where_it_does_not_collect_there_is_no_check() -> None:
    assert systemd_coredump(None, process()) is None


def test_limits_that_asterisk_fits_into() -> None:
    assert told(systemd_coredump(coredump(external=400 * MIB, process_size=400 * MIB), process()))[0] is State.OK
    assert told(systemd_coredump(coredump(), STOPPED))[0] is State.OK


@pytest.mark.parametrize("storage", ["none", "journal"])
def test_a_storage_that_leaves_no_file(storage: str) -> None:
    check = systemd_coredump(coredump(storage), process())

    assert told(check) == (State.FAILED, f"Storage={storage}: no core is stored as a file")
    assert remedy(check) == (
        r"mkdir -p /etc/systemd/coredump.conf.d && printf '[Coredump]\nStorage=external\n' "
        ">>/etc/systemd/coredump.conf.d/zz-astbtd.conf"
    )


@pytest.mark.parametrize("external", [0, 399 * MIB])
def test_cores_that_are_too_large_to_be_stored(external: int) -> None:
    check = systemd_coredump(coredump(external=external), process())

    assert told(check) == (State.FAILED, "a core may take 400M, more than ExternalSizeMax= of systemd-coredump")
    assert "ExternalSizeMax=infinity" in remedy(check)


def test_cores_that_are_only_too_large_for_its_own_backtrace() -> None:
    assert told(systemd_coredump(coredump(process_size=MIB), process()))[0] is State.WARNING


def test_the_last_assignment_counts_and_comments_and_other_sections_do_not() -> None:
    main = "[Coredump]\n#Storage=none\n;Storage=none\nStorage = journal\nProcessSizeMax=1G\n[Other]\nStorage=none\n"
    drop_in = "Storage=none\n[Coredump]\nStorage=external\n"

    assert assignments([main, drop_in], "Coredump") == {"Storage": "external", "ProcessSizeMax": "1G"}


@pytest.mark.parametrize(
    ("text", "expected"), [("2G", 2 << 30), ("512", 512), ("infinity", None), (None, 7), ("", 7), ("much", 7)]
)
def test_sizes(text: str | None, expected: int | None) -> None:
    assert size(text, 7) == expected
