"""A crash in code that is not Asterisk's: whose it is, and where to report it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis.verdict import Evidence, diagnose
from astbtd.model.crash import Extraction, ExtractionOutcome, Signal, Symbols
from astbtd.model.diagnosis import Diagnosis

CRASH = """\
Thread 1 (Thread 0x7f68666bc6c0 (LWP 7538)):
#0  0x00007f2446cec113 in ?? () from {library}
#1  0x00007f2446cec11f in vendor_decode () from {library}
#2  0x00007f2446cf2530 in decode_with_vendor () at res_astbtd_scenes.c:68
#3  0x000055d94a7fc923 in ast_cli_command_full (uid=0, gid=0, fd=7, s=0x7f39c6d4e6c0 "scene segv") at cli.c:3136
"""


def locate(frames: Sequence[Frame]) -> Sequence[Frame]:
    return [frame if frame.library else replace(frame, library="/usr/sbin/asterisk", offset=4096) for frame in frames]


def diagnosed(library: str, package: str | None = None) -> Diagnosis:
    evidence = Evidence(
        signal=Signal(11, "SIGSEGV", 1, "0x0"),
        lwp=7538,
        extraction=Extraction("13.1", 1.0, ExtractionOutcome.OK, {}, Symbols.LAZY),
        executable="/usr/sbin/asterisk",
        package_of=lambda path: package if path == library else None,
        locate=locate,
    )
    return diagnose(CRASH.format(library=library), evidence)


def test_a_library_of_no_package_is_reported_to_its_supplier() -> None:
    diagnosis = diagnosed("/opt/vendor/libvendor.so")

    assert (
        "The crash is in /opt/vendor/libvendor.so, which is not a part of Asterisk and belongs to no package that is "
        "installed."
    ) in diagnosis.reasons
    assert any(line.startswith("Report it to the supplier of /opt/vendor/libvendor.so") for line in diagnosis.advice)


def test_a_library_of_a_package_is_reported_to_the_maintainers_of_the_package() -> None:
    diagnosis = diagnosed("/usr/lib/x86_64-linux-gnu/libvpb.so.1", "libvpb1")

    assert any("reportbug libvpb1" in line for line in diagnosis.advice)


@pytest.mark.parametrize(
    "library",
    ["/usr/lib/asterisk/modules/app_dial.so", "/usr/lib/libasteriskssl.so.1", "/lib/x86_64-linux-gnu/libc.so.6"],
)
def test_code_of_asterisk_and_of_the_c_library_is_nobody_elses(library: str) -> None:
    assert not any("not a part of Asterisk" in reason for reason in diagnosed(library).reasons)
