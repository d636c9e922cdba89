"""Facts about the crashed process in a core, which may contain anything."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astbtd.elf import core_notes
from astbtd.elf.core_notes import NotACore, is_snapshot
from astbtd.elf.headers import FileType, Segment
from astbtd.model.crash import CRASH_ID, CoreFacts, IdentityFrom, Process, SentBy, Signal
from tests.support.builders import (
    FORMS,
    NT_AUXV,
    NT_FILE,
    NT_PRPSINFO,
    NT_PRSTATUS,
    NT_SIGINFO,
    PT_LOAD,
    PT_NOTE,
    DeadProcess,
    Form,
    Part,
    elf_file,
    program,
)

PLAIN = DeadProcess()
MANY = 0xFFFF
SECOND = 1_000_000_000

Facts = Callable[[bytes], CoreFacts]


@pytest.fixture
def facts_of(memory_file: Callable[[bytes], int]) -> Facts:
    return lambda core: core_notes.read_facts(memory_file(core))


@pytest.mark.parametrize("form", FORMS)
def test_all_facts_are_read_from_the_notes(facts_of: Facts, form: Form) -> None:
    facts = facts_of(DeadProcess(form, uid=110).core())

    assert facts.process == Process(
        pid=4242,
        tid=4243,
        uid=110,
        gid=115,
        executable="/usr/sbin/asterisk",
        build_id="ab" * 20,
        command_line="asterisk -g -f",
    )
    assert facts.signal == Signal(11, "SIGSEGV", 1, "0x10")
    assert facts.objects == ("/usr/sbin/asterisk", "/usr/lib/asterisk/modules/app_dial.so")
    assert not facts.truncated
    assert not is_snapshot(facts)


def test_the_16_bit_user_ids_of_32_bit_x86_are_read(facts_of: Facts) -> None:
    process = facts_of(DeadProcess(Form(wide=False), short_ids=True, uid=110).core()).process

    assert (process.pid, process.uid, process.gid, process.command_line) == (4242, 110, 115, "asterisk -g -f")


@pytest.mark.parametrize("signal", [4, 5, 7, 8, 11])
def test_a_fault_has_an_address(facts_of: Facts, signal: int) -> None:
    found = facts_of(replace(PLAIN, signal=signal, address=0xDEAD).core()).signal

    assert found is not None
    assert (found.number, found.address) == (signal, "0xdead")


@pytest.mark.parametrize(("signal", "code"), [(6, -6), (3, 1), (11, 0), (11, -6)])
def test_a_signal_sent_by_a_process_has_no_address(facts_of: Facts, signal: int, code: int) -> None:
    found = facts_of(replace(PLAIN, signal=signal, code=code).core()).signal

    assert found is not None
    assert (found.number, found.code, found.address) == (signal, code, None)


def test_an_unknown_signal_is_named_by_its_number(facts_of: Facts) -> None:
    assert facts_of(replace(PLAIN, signal=77, code=0).core()).signal == Signal(77, "SIG77", 0, None)


def test_without_a_signal_note_the_signal_of_the_thread_is_used(facts_of: Facts) -> None:
    assert facts_of(replace(PLAIN, without={NT_SIGINFO}).core()).signal == Signal(11, "SIGSEGV", None, None)


@pytest.mark.parametrize("signal", [0, 5 + 14, 20])
def test_a_core_with_a_signal_that_does_not_dump_core_is_a_snapshot(facts_of: Facts, signal: int) -> None:
    assert is_snapshot(facts_of(replace(PLAIN, signal=signal, code=0).core()))


def test_the_program_is_the_file_that_holds_the_entry_point(facts_of: Facts) -> None:
    mapped = ("/lib64/ld-linux-x86-64.so.2", "/opt/pbx/bin/pbxd", "/lib/libc.so.6")

    facts = facts_of(replace(PLAIN, mapped=mapped, entry_in=1).core())

    assert facts.process.executable == "/opt/pbx/bin/pbxd"
    assert facts.objects == mapped


def test_without_an_entry_point_the_program_is_the_first_file(facts_of: Facts) -> None:
    facts = facts_of(replace(PLAIN, without={NT_AUXV}).core())

    assert facts.process.executable == "/usr/sbin/asterisk"


def test_a_deleted_program_has_its_original_path(facts_of: Facts) -> None:
    facts = facts_of(replace(PLAIN, mapped=("/usr/sbin/asterisk (deleted)",)).core())

    assert facts.process.executable == "/usr/sbin/asterisk"


@pytest.mark.parametrize("linked_at", [0, 0x400000])
def test_the_build_id_is_read_from_memory(facts_of: Facts, linked_at: int) -> None:
    core = replace(PLAIN, build_id=b"\x0f" * 20, linked_at=linked_at).core()

    assert facts_of(core).process.build_id == "0f" * 20


def test_facts_missing_from_the_core_are_unknown(facts_of: Facts) -> None:
    facts = facts_of(elf_file(FORMS[0], FileType.CORE, []))

    assert facts.process == Process()
    assert (facts.signal, facts.objects) == (None, ())


def test_without_a_process_note_the_pid_is_that_of_the_first_thread(facts_of: Facts) -> None:
    process = facts_of(replace(PLAIN, without={NT_PRPSINFO}).core()).process

    assert (process.pid, process.uid, process.command_line) == (4243, None, None)


def test_a_copy_of_a_core_has_the_same_identity(facts_of: Facts) -> None:
    first, second = facts_of(PLAIN.core()), facts_of(PLAIN.core())

    assert first.identity_from is IdentityFrom.AT_RANDOM
    assert first.identity == second.identity


@pytest.mark.parametrize("other", [replace(PLAIN, pid=4244), replace(PLAIN, random=bytes(16))])
def test_another_process_has_another_identity(facts_of: Facts, other: DeadProcess) -> None:
    assert facts_of(other.core()).identity != facts_of(PLAIN.core()).identity


@pytest.mark.parametrize(
    "poor",
    [
        replace(PLAIN, random=None),
        replace(PLAIN, random=bytes(15)),
        replace(PLAIN, without={NT_AUXV}),
        replace(PLAIN, without={NT_PRPSINFO, NT_PRSTATUS}),
    ],
)
def test_without_pid_or_random_bytes_the_identity_is_that_of_the_file(facts_of: Facts, poor: DeadProcess) -> None:
    first, second = facts_of(poor.core()), facts_of(poor.core())

    assert first.identity_from is IdentityFrom.FILE
    assert first.identity != second.identity


def test_the_crash_time_is_that_of_the_file(memory_file: Callable[[bytes], int]) -> None:
    descriptor = memory_file(PLAIN.core())
    os.utime(descriptor, ns=(0, 1_795_388_813 * SECOND + 987_654_321))

    facts = core_notes.read_facts(descriptor)

    assert facts.crashed_at == datetime(2026, 11, 22, 23, 6, 53, 987_000, tzinfo=UTC)
    assert facts.crash_id == f"20261122T230653Z-4242-{facts.identity[:6]}"


def test_a_modification_time_in_the_future_does_not_make_a_crash_newer(memory_file: Callable[[bytes], int]) -> None:
    descriptor = memory_file(PLAIN.core())
    os.utime(descriptor, ns=(0, 4_000_000_000 * SECOND))

    facts = core_notes.read_facts(descriptor)

    assert facts.crashed_at.timestamp() <= os.fstat(descriptor).st_ctime


def test_without_a_valid_current_time_a_crash_is_not_newer_than_that(
    memory_file: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    descriptor = memory_file(PLAIN.core())
    monkeypatch.setattr(core_notes.time, "time_ns", lambda: 1_000 * SECOND)  # type: ignore[attr-defined]

    assert core_notes.read_facts(descriptor).crashed_at == datetime.fromtimestamp(1_000, UTC)


@pytest.mark.parametrize("seconds", [-1, -62_000_000_000])
def test_an_invalid_file_time_is_rejected(memory_file: Callable[[bytes], int], seconds: int) -> None:
    descriptor = memory_file(PLAIN.core())
    os.utime(descriptor, ns=(0, seconds * SECOND))

    with pytest.raises(NotACore, match="time"):
        core_notes.read_facts(descriptor)


@pytest.mark.parametrize("pid", [0, -1, -(1 << 31), (1 << 31) - 1])
def test_any_pid_gives_a_valid_crash_id(facts_of: Facts, pid: int) -> None:
    assert CRASH_ID.fullmatch(facts_of(replace(PLAIN, pid=pid, tid=pid).core()).crash_id)


@pytest.mark.parametrize("form", FORMS)
def test_a_truncated_core_still_has_its_process(facts_of: Facts, form: Form) -> None:
    facts = facts_of(DeadProcess(form).core()[:-1])

    assert facts.truncated
    assert facts.process.pid == 4242


@pytest.mark.parametrize("form", FORMS)
def test_a_number_of_segments_beyond_its_header_field_is_read(facts_of: Facts, form: Form) -> None:
    process = DeadProcess(form)
    parts = [Part(PT_NOTE, 0, process.notes()), *process.memory()]
    body = elf_file(form, FileType.CORE, parts)
    section = bytes(44 if form.wide else 28) + form.pack("I", len(parts))

    facts = facts_of(elf_file(form, FileType.CORE, parts, count=MANY, sections=len(body)) + section)

    assert (facts.process.pid, facts.identity_from, facts.truncated) == (4242, IdentityFrom.AT_RANDOM, False)


@pytest.mark.parametrize("data", [b"", b"core", program(), elf_file(FORMS[0], FileType.EXECUTABLE, [])])
def test_other_files_are_rejected(facts_of: Facts, data: bytes) -> None:
    with pytest.raises(NotACore):
        facts_of(data)


def test_an_impossible_number_of_mappings_is_ignored(facts_of: Facts) -> None:
    form = FORMS[0]
    hostile = form.note(b"CORE", NT_FILE, form.pack("PP", 1 << 60, 4096) + bytes(24))

    facts = facts_of(elf_file(form, FileType.CORE, [Part(PT_NOTE, 0, hostile)]))

    assert (facts.objects, facts.process.executable) == ((), None)


def test_notes_of_other_owners_are_ignored(facts_of: Facts) -> None:
    form = FORMS[0]
    forged = form.note(b"EVIL", NT_PRPSINFO, bytes(136))

    facts = facts_of(elf_file(form, FileType.CORE, [Part(PT_NOTE, 0, forged + PLAIN.notes())]))

    assert facts.process.pid == 4242


def test_segments_at_the_end_of_the_address_space_are_truncated(facts_of: Facts) -> None:
    form = FORMS[0]
    far = (1 << 64) - 1
    row = form.row(Segment(PT_LOAD, 5, far, far, far)) + form.row(Segment(PT_NOTE, 4, far, far, far))

    facts = facts_of(form.header(FileType.CORE, 2) + row)

    assert facts.truncated


@given(st.sampled_from(FORMS), st.lists(st.tuples(st.integers(0, 1300), st.binary(min_size=1, max_size=8)), max_size=8))
def test_a_damaged_core_is_read_or_rejected(form: Form, damage: list[tuple[int, bytes]]) -> None:
    core = bytearray(DeadProcess(form).core())
    for position, junk in damage:
        core[position : position + len(junk)] = junk

    assert_read_or_rejected(bytes(core))


@given(
    st.sampled_from(FORMS),
    st.lists(
        st.tuples(
            st.sampled_from(("CORE", "GNU")), st.sampled_from((1, 3, 6, NT_FILE, NT_SIGINFO)), st.binary(max_size=400)
        ),
        max_size=6,
    ),
)
def test_junk_in_the_notes_is_read_or_rejected(form: Form, notes: list[tuple[str, int, bytes]]) -> None:
    content = b"".join(form.note(owner.encode(), kind, junk) for owner, kind, junk in notes)

    assert_read_or_rejected(elf_file(form, FileType.CORE, [Part(PT_NOTE, 0, content), *PLAIN.memory()]))


@given(st.binary(max_size=500))
def test_junk_is_rejected(junk: bytes) -> None:
    assert_read_or_rejected(junk)


def assert_read_or_rejected(data: bytes) -> None:
    with os.fdopen(os.memfd_create("core"), "w+b") as file:
        os.write(file.fileno(), data)
        try:
            facts = core_notes.read_facts(file.fileno())
        except NotACore:
            return
        assert CRASH_ID.fullmatch(facts.crash_id)


@pytest.mark.parametrize("code", [0, -1, -6])
def test_the_sender_of_a_signal_is_read(facts_of: Facts, code: int) -> None:
    """si_pid and si_uid are at the place of si_addr."""
    facts = facts_of(DeadProcess(code=code, address=2705 | 110 << 32).core())

    assert facts.sent_by == SentBy(pid=2705, uid=110)


@pytest.mark.parametrize(("code", "sender"), [(1, 2705), (0x80, 2705), (-6, 4242), (-2, 2705)])
def test_a_fault_and_a_signal_to_itself_have_no_sender(facts_of: Facts, code: int, sender: int) -> None:
    """abort() is a signal of the process to itself, whose pid is 4242; code -2 is that of a timer."""
    assert facts_of(DeadProcess(code=code, address=sender).core()).sent_by is None
