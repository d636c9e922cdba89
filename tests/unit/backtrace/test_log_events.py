"""Log lines about the end of a process: signal, module, offset."""

# ruff: noqa: E501 - the lines are as long as the programs make them

import pytest

from astbtd.diagnosis.verdict import diagnose
from astbtd.model.diagnosis import Kind, MemoryCorruption
from tests.support.backtraces import prose


@pytest.mark.parametrize(
    ("line", "signal", "location"),
    [
        (
            "kernel: asterisk[77]: segfault at 10 ip 00007f1122334455 sp 00007f11 error 4 in libc.so.6[7f1122300000+180000]",
            "SIGSEGV",
            "libc.so.6 at offset 0x34455",
        ),
        (
            "[  9.1] asterisk[77]: segfault at 10 ip 00007f1122334455 sp 00007f11 error 4 in res_x.so[4455,7f1122330000+9000] likely on CPU 2 (core 1, socket 0)",
            "SIGSEGV",
            "res_x.so at offset 0x4455",
        ),
        (
            "traps: asterisk[77] general protection fault ip:7f1122334455 sp:7f11 error:0 in libc.so.6[7f1122300000+180000]",
            "SIGSEGV",
            "libc.so.6 at offset 0x34455",
        ),
        (
            "traps: asterisk[77] general protection ip:55d0aa11bb22 sp:7f11 error:0 in asterisk[55d0aa110000+20000]",
            "SIGSEGV",
            "asterisk at offset 0xbb22",
        ),
        (
            "traps: asterisk[77] trap divide error ip:55d0aa11bb22 sp:7f11 error:0 in codec_x.so[55d0aa110000+20000]",
            "SIGFPE",
            "codec_x.so at offset 0xbb22",
        ),
        (
            "traps: asterisk[77] trap invalid opcode ip:55d0aa11bb22 sp:7f11 error:0 in asterisk[55d0aa110000+20000]",
            "SIGILL",
            "asterisk at offset 0xbb22",
        ),
        ("traps: asterisk[77] trap stack segment ip:55d0aa11bb22 sp:7f11 error:0", "SIGBUS", None),
        (
            "[9.1] asterisk[77]: unhandled level 2 translation fault (11) at 0x00000010, esr 0x92000006, in libasteriskpj.so.2[7f8a000000+120000]",
            "SIGSEGV",
            "libasteriskpj.so.2",
        ),
        ("[9.1] asterisk[77]: unhandled exception: SP/PC alignment (7) at 0x10, esr 0x86", "SIGBUS", None),
        ("asterisk: unhandled page fault (11) at 0x00000010, code 0x817", "SIGSEGV", None),
        ("asterisk[77]: unhandled signal 11 at 00000010 nip 0fe34455 lr 0fe30000 code 30001", "SIGSEGV", None),
        ("asterisk (77): undefined instruction: pc=0000aabb", "SIGILL", None),
        (
            "do_page_fault(): sending SIGSEGV to asterisk for invalid read access from 00000004\nepc = 004e34dd in asterisk[400000+16d000]",
            "SIGSEGV",
            "asterisk at offset 0xe34dd",
        ),
        ("kernel: pid 77 (asterisk), jid 0, uid 931: exited on signal 11 (core dumped)", "SIGSEGV", None),
        ("kernel: pid 77 (asterisk), uid 0: exited on signal 10", "SIGUSR1", None),
        ("systemd[1]: asterisk.service: Main process exited, code=dumped, status=11/SEGV", "SIGSEGV", None),
        ("systemd[1]: asterisk.service: Main process exited, code=killed, status=6/ABRT", "SIGABRT", None),
        ("   Main PID: 77 (code=dumped, signal=SEGV)", "SIGSEGV", None),
        ("asterisk.service: Main process exited, code=exited, status=139/n/a", "SIGSEGV", None),
        (
            "systemd-coredump[9]: Process 77 (asterisk) of user 105 terminated abnormally with signal 6/ABRT, processing...",
            "SIGABRT",
            None,
        ),
        ("Asterisk ended with exit status 139\nAsterisk exited on signal 11.", "SIGSEGV", None),
        ("Asterisk ended with exit status 134", "SIGABRT", None),
        ("asterisk-1 exited with code 139", "SIGSEGV", None),
        (
            "asterisk[77]: segfault at xxx ip xxxxxxxxxx sp xxxxxxxxxx error 4 in chan_x.so[7f678e700000+10a000]",
            "SIGSEGV",
            "chan_x.so",
        ),
        (
            "asterisk[77]: segfault at 0 ip 00007f9c9b1a2ddb sp 00007f9c error 4 in chan_x.so[7f9c9b193000+30000",
            "SIGSEGV",
            "chan_x.so at offset 0xfddb",
        ),
        ("Process: 77 ExecStart=/usr/sbin/asterisk -g -f (code=dumped, signal=SEGV)", "SIGSEGV", None),
        ("Segmentation fault (core dumped)", "SIGSEGV", None),
        ("Segmentation fault", "SIGSEGV", None),
        ("./start.sh: line 3:  1234 Aborted                 (core dumped) asterisk -g", "SIGABRT", None),
        ("Bus error (core dumped)", "SIGBUS", None),
        (
            'asterisk: ../src/pj/os_core_unix.c:692: pj_thread_this: Assertion `!"Calling pjlib from unknown thread"\' failed.',
            "SIGABRT",
            "pj_thread_this",
        ),
        ("*** buffer overflow detected ***: terminated", "SIGABRT", None),
        ("terminate called after throwing an instance of 'std::out_of_range'", "SIGABRT", None),
        ("Exception Type:        EXC_BAD_ACCESS (SIGSEGV)", "SIGSEGV", None),
        ("       414 Segmentation fault      (core dumped) | ( pjsua --config-file x )", "SIGSEGV", None),
        ("[Error] pjsua Exit code: 139", "SIGSEGV", None),
        ("Assertion failed: (subsys.pf), function get_info, file ../src/audiodev.c, line 645.", "SIGABRT", "get_info"),
        (
            '../src/pj/os_core_unix.c:1270: pj_status_t pj_mutex_lock(pj_mutex_t *): assertion "mutex" failed',
            "SIGABRT",
            "pj_mutex_lock",
        ),
        ("x: src/x.cpp:498: void pollset_process(int): Assertion `sock' failed.", "SIGABRT", "pollset_process"),
        ("A/libc: Fatal signal 6 (SIGABRT), code -6 in tid 13567 (Thread-14107)", "SIGABRT", None),
        ("signal 11 (SIGSEGV), code 1 (SEGV_MAPERR), fault addr 0x10", "SIGSEGV", None),
    ],
)
@pytest.mark.parametrize("prefix", ["", "Jan  2 03:04:05 pbx start[9]: ", "> "])
def test_the_end_of_a_process_is_read_from_a_log(line: str, signal: str, location: str | None, prefix: str) -> None:
    diagnosis = diagnose("".join(f"{prefix}{each}\n" for each in line.split("\n")))

    assert (diagnosis.kind, diagnosis.signal, diagnosis.signature) == (Kind.LOG, signal, None)
    assert signal in str(diagnosis.headline)
    assert (location or "") in str(diagnosis.headline)
    assert "astbtd check" in prose(diagnosis)


def test_the_offset_is_for_addr2line() -> None:
    line = "traps: asterisk[77] trap divide error ip:55d0aa11bb22 sp:7f11 error:0 in codec_x.so[55d0aa110000+20000]\n"

    assert "addr2line -Cfi -e FILE 0xbb22" in prose(diagnose(line))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("*** Error in `asterisk': double free or corruption (!prev): 0x00007f83 ***", MemoryCorruption.CERTAIN),
        ("free(): invalid pointer", MemoryCorruption.CERTAIN),
        ("asterisk: malloc.c:2401: sysmalloc: Assertion `old_top' failed.", MemoryCorruption.LIKELY),
        (
            "asterisk(77,0x70000) malloc: *** error for object 0x7f83: pointer being freed was not allocated",
            MemoryCorruption.CERTAIN,
        ),
        ("*** stack smashing detected ***: terminated", MemoryCorruption.CERTAIN),
    ],
)
def test_the_message_of_an_allocator_is_read_from_a_log(line: str, expected: MemoryCorruption) -> None:
    diagnosis = diagnose(line + "\n")

    assert (diagnosis.kind, diagnosis.signal, diagnosis.memory_corruption) == (Kind.LOG, "SIGABRT", expected)


@pytest.mark.parametrize(
    "line",
    [
        "There was a Segmentation fault yesterday, they say.",
        "[2026-03-01 12:00:00] NOTICE[1]: chan_sip.c: Peer exited",
        "kernel: usb 1-1: device descriptor read/64, error -71",
        "systemd[1]: asterisk.service: Main process exited, code=exited, status=1/FAILURE",
    ],
)
def test_other_lines_of_logs_are_not_about_a_crash(line: str) -> None:
    assert diagnose(line + "\n").kind is Kind.NOTHING
