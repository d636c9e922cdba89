"""Print how long each parser takes per byte of hostile input, at 1 and at 16 MiB: `python -m tests.fuzz.parser_speed`.

A parser that is linear takes the same time per byte at both sizes. The exit code is 1 if one takes more than
SUPERLINEAR times as long per byte at 16 MiB, or more than BUDGET seconds of processor time for one input.
"""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from astbtd import settings
from astbtd.asterisk import asterisk_processes, taskprocessors
from astbtd.backtrace import lock_listing
from astbtd.claims import claim_file
from astbtd.claims.core_filter import Candidate, examine
from astbtd.diagnosis.verdict import diagnose
from astbtd.elf import core_notes, elf_sections
from astbtd.elf.core_notes import NotACore
from astbtd.elf.headers import FileType, NotElf, file_reader
from astbtd.errors import BadConfiguration
from astbtd.extraction import build_ids
from astbtd.extraction.script_report import GdbFacts, parse_thread_states
from astbtd.lib import json_file
from astbtd.lib.escaping import printable
from astbtd.model.crash import CRASH_ID, Crash
from astbtd.sources import core_pattern, death_messages
from astbtd.sources.collectors import apport_report
from astbtd.sources.collectors.apport_report import MalformedReport
from astbtd.store import record
from astbtd.store.record_limits import LARGEST_RECORD
from astbtd.store.redaction.redactor import Redactor
from tests.fuzz import large_cores
from tests.support.builders import FORMS, NOON, DeadProcess, crash
from tests.support.packed import COMPRESS, report
from tests.support.transcripts import TWO_THREADS

SIZES = (1 << 20, 16 << 20)
BUDGET = 120  # seconds of processor time for one input
SUPERLINEAR = 3.0

Parser = Callable[[bytes], object]
Input = bytes | Callable[[int], bytes]
"""A piece that is repeated, or a function that makes an input of about that many bytes."""


@contextlib.contextmanager
def _in_memory(content: bytes) -> Iterator[int]:
    with os.fdopen(os.memfd_create("input"), "w+b", buffering=0) as file:
        file.write(content)
        file.seek(0)
        yield file.fileno()


def _read_core(content: bytes) -> None:
    with _in_memory(content) as descriptor, contextlib.suppress(NotACore):
        core_notes.read_facts(descriptor)


def _read_report(content: bytes) -> None:
    with _in_memory(content) as descriptor, contextlib.suppress(MalformedReport):
        apport_report.fields(descriptor)


def _list_objects(content: bytes) -> None:
    with _in_memory(content) as descriptor, contextlib.suppress(NotElf):
        build_ids.format_objects(build_ids.list_mapped_objects(descriptor))


def _read_sections(content: bytes) -> None:
    with _in_memory(content) as descriptor, contextlib.suppress(NotElf):
        elf_sections.read_sections(file_reader(descriptor))


def _names_in_one_another(size: int) -> bytes:
    """Return a program with 4,096 sections that all have the same name, which has no end."""
    count = 4096
    header = FORMS[0].header(FileType.SHARED, 0, sections=FORMS[0].header_size)
    row = FORMS[0].pack("IIPPPPIIPP", 0, 3, 0, 0, FORMS[0].header_size + 64 * count, size, 0, 0, 0, 0)
    return header[:58] + FORMS[0].pack("HHH", 64, count, 0) + row * count + b"a" * size


def _chain_of_locks(size: int) -> bytes:
    """Return the output of `core show locks` for threads that each want the lock of the next."""
    entry = (
        "=== Thread ID: 0x7f1 LWP:{0} (pbx_thread started at [ 1] pbx.c ast_pbx_start())\n"
        "=== ---> Lock #0 (a.c): MUTEX 1 take &lock {0:#x} (1)\n"
        "=== ---> Waiting for Lock #1 (a.c): MUTEX 2 take &lock {1:#x} (1)\n"
    )
    return "".join(entry.format(number, number + 1) for number in range(1, size // 200)).encode()


def _parse_kernel_line(content: bytes) -> None:
    text = content.decode(errors="surrogateescape")
    entry = {"__REALTIME_TIMESTAMP": NOON, "_BOOT_ID": "0f" * 16, "_TRANSPORT": "kernel", "MESSAGE": text}
    death_messages.parse_entry(entry)


def _read_asterisk_conf(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        asterisk_processes.read_setting(Path(file.name), "options", "runuser")


def _parse_settings(content: bytes) -> None:
    with contextlib.suppress(BadConfiguration):
        settings.parse(content[: 1 << 20], "speed")  # a larger file is not read


def _redact(content: bytes) -> None:
    Redactor(hosts=["pbx7"]).text(content.decode(errors="surrogateescape"))


def _read_record(content: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file, contextlib.suppress(json_file.Damaged):
        file.write(content)
        file.flush()
        json_file.read(file.name, Crash, LARGEST_RECORD)


def _read_claim(content: bytes) -> None:
    with _in_memory(content) as descriptor, contextlib.suppress(ValueError, RecursionError):
        claim_file.read(descriptor)


def _examine(content: bytes) -> None:
    """Examine a file as the daemon does, whose budget makes more than five seconds impossible."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "core").write_bytes(content)
        finding = examine(directory, "core", frozenset({"asterisk"}))
        if isinstance(finding, Candidate):
            os.close(finding.descriptor)


def _numbers_and_a_word(size: int) -> bytes:
    """Return a listing of taskprocessors with one line of numbers that does not end with a number."""
    return b"Processor Processed In Queue Max Depth Low water High water\n" + b"1 " * (size // 2) + b"x"


_CORE = DeadProcess().core()
_RECORD = record.to_json(crash())
_CORES = (
    *(large_cores.of_zeros, large_cores.of_empty_notes, large_cores.of_threads, large_cores.of_vectors),
    *(large_cores.of_names, large_cores.of_long_names, large_cores.of_segments),
    large_cores.of_images,
)
_PARSERS: dict[str, tuple[Parser, tuple[Input, ...], bytes]] = {
    # name: parser, pieces of which the input is made, how the input begins
    "redaction": (
        _redact,
        (
            TWO_THREADS.encode(),
            *(b'"', b"\\", b'"\\', b"{", b"(a=", b"pass=", b'x = 0x1 "a", ', b"'a' <repeats 9 times>, ", b"1 'a', "),
            *(b"a", b"a:", b"a@", b"1.", b"1", b" ", b"\n", b"Secret: x\n", b"\r\n ", b"Digest response=", b"00 11 "),
            *(b"-----BEGIN PRIVATE KEY-----", b"MIIC", b"eyJ", b"::", b'"a": ', b"sip:a:", b"%40", b'"<', b"+1 "),
        ),
        b"",
    ),
    "escaping": (lambda data: printable(data.decode(errors="surrogateescape")), (b"\x1b", b"\xff", b"a"), b""),
    "backtrace": (
        lambda data: diagnose(data.decode(errors="replace")),
        (TWO_THREADS.encode(), b"#1 ", b"#0  0x1 in f (", b"a = {", b"Thread 1 (", b"\n", b"x", _chain_of_locks),
        b"",
    ),
    "report of the script": (GdbFacts.from_json, (b'{"a":', b"[", b'"a",'), b""),
    "configuration": (_parse_settings, (b"a: b\n", b"- ", b"[", b"# \n", b"&a [*a]\n"), b""),
    "core_pattern": (
        lambda data: core_pattern.parse(data.decode(errors="surrogateescape")),
        (b"%e", b"/", b"|", b"%"),
        b"",
    ),
    "record": (_read_record, (b'["a",', b'{"a":', b'"a" ', b"0", _RECORD), _RECORD[:-2] + b',"x":['),
    "claim": (_read_claim, (b'["a",', b'{"a":', b"\nattempt", b"0"), b""),
    "id": (lambda data: CRASH_ID.fullmatch(data.decode(errors="replace")), (b"0", b"20261122T120000Z-", b"-"), b""),
    "compressed core, empty parts": (_examine, tuple(compress(b"") for compress in COMPRESS.values()), b""),
    "compressed core, zeros": (_examine, tuple(compress(bytes(1 << 20)) for compress in COMPRESS.values()), b""),
    "compressed core, damaged": (_examine, (b"\0", b"\xff"), COMPRESS["gz"](_CORE)),
    "core": (_read_core, (b"\0", b"\xff", *_CORES), _CORE),
    "core as a candidate": (_examine, _CORES, b""),
    "sections of a program": (_read_sections, (_names_in_one_another,), b""),
    "objects of a core": (_list_objects, _CORES, b""),
    "line of the kernel": (
        _parse_kernel_line,
        (b"asterisk[1]: segfault at 0 ip 0 sp 0 error 4 in ", b"Killed process 1 (", b"traps: ", b"a", b"1 ", b" in "),
        b"asterisk[1]: ",
    ),
    "thread states of the script": (parse_thread_states, (b'{"a":', b"[", b'"a",'), b""),
    "listing of locks": (
        lambda data: lock_listing.parse(data.decode(errors="replace")),
        (_chain_of_locks, b"=== ---> Lock #0 (", b"=== ---> Lock #0 (a): MUTEX 1 f ", b"=== Thread ID: 0x", b"a "),
        b"=== ---> Lock #0 (a): MUTEX 1 f ",
    ),
    "taskprocessors": (
        lambda data: taskprocessors.parse(data.decode(errors="replace")),
        (b"pjsip/a 1 0 0 450 500\n", b"a 1 1 1 ", b"1 ", b" ", b"a\n", b"\n", b"1", _numbers_and_a_word),
        b"Processor Processed In Queue Max Depth Low water High water\n",
    ),
    "asterisk.conf": (
        _read_asterisk_conf,
        (b"[options]\n", b"runuser = a\n", b"runuser", b" ", b";", b"="),
        b"[options]\n",
    ),
    "apport report": (_read_report, (b" a\n", b"Key: value\n", b"a", b"\n"), report(_CORE)[:64]),
}


def _measure(parser: Parser, data: bytes) -> float:
    """Return the processor time in seconds; infinity if it exceeds the budget."""
    receiver, sender = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=_run, args=(parser, data, sender))
    process.start()
    sender.close()
    try:
        used = float(receiver.recv())
    except EOFError:
        used = float("inf")
    process.join()
    return used


def _run(parser: Parser, data: bytes, sender: "multiprocessing.connection.Connection") -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (BUDGET, BUDGET))
    signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    started = time.process_time()
    with contextlib.suppress(RecursionError):
        parser(data)
    sender.send(time.process_time() - started)


def _make_input(piece: Input, begin: bytes, size: int) -> bytes:
    if isinstance(piece, bytes):
        return (begin + piece * (size // len(piece) + 1))[:size]
    return piece(size)


def main() -> int:
    """Print a line for each parser and piece; return the exit code."""
    too_slow = 0
    print(f"{'parser':28} {'ns/byte at 1 MiB':>17} {'at 16 MiB':>10}  input")  # noqa: T201
    for name, (parser, pieces, begin) in _PARSERS.items():
        if sys.argv[1:] and name not in sys.argv[1:]:
            continue
        for piece in pieces:
            inputs = [_make_input(piece, begin, size) for size in SIZES]
            small, large = (_measure(parser, data) / len(data) * 1e9 for data in inputs)
            is_slow = large == float("inf") or (large > SUPERLINEAR * small and large > 100)
            too_slow += is_slow
            mark = "  TOO SLOW" if is_slow else ""
            what = repr(piece[:24]) if isinstance(piece, bytes) else piece.__name__.strip("_").replace("_", " ")
            print(f"{name:28} {small:17.1f} {large:10.1f}  {what}{mark}", flush=True)  # noqa: T201
    return 1 if too_slow else 0


if __name__ == "__main__":
    sys.exit(main())
