"""Fuzz tests of texts: backtraces, reports of the gdb script, configuration, core_pattern, records, command line."""

import contextlib
import io
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from astbtd import settings
from astbtd.asterisk import taskprocessors
from astbtd.cli.main import VERBS, main
from astbtd.diagnosis.report import render
from astbtd.diagnosis.verdict import diagnose
from astbtd.errors import BadConfiguration, ExitCode, NothingMatched
from astbtd.extraction.script_report import GdbFacts
from astbtd.lib.escaping import printable
from astbtd.model.crash import RECORD_FILE, Crash
from astbtd.settings import Settings
from astbtd.sources import core_pattern
from astbtd.store.id_lookup import resolve
from astbtd.store.redaction.redactor import Redactor
from astbtd.store.store import DamagedRecord, Store
from tests.support.builders import crash
from tests.support.deadlocks import taskprocessor_listing
from tests.support.mutations import mutated
from tests.support.redaction_cases import REDACTED
from tests.support.transcripts import DOUBLE_FREE, TWO_THREADS

CONFIGURATION = (Path(__file__).parents[2] / "etc" / "astbtd.yaml").read_bytes().replace(b"#", b"")
PATTERNS = (b"core", b"/var/cores/%e/core.%p", b"|/usr/lib/systemd/systemd-coredump %P %u", b"@@/run/x", b"core.%%%E")
FACTS = (
    b'{"gdb_version": "13.1", "asterisk": {"version": "22", "all_options": "A, B", "lock_table": true}}',
    b'{"gdb_version": null, "asterisk": {}}',
)
BACKTRACES = (TWO_THREADS.encode(), DOUBLE_FREE.encode(), b"")
IDS = (crash().id.encode(), b"latest", b"-1", b"-99999999999999999999", b"2026*", b"../../etc/passwd")
ACTING = {"run", "extract", "check", "deadlock"}  # verbs that examine or change the machine
READING = sorted(set(VERBS) - ACTING)
WORDS = st.sampled_from(
    ("latest", "-1", "-0", "-999999999", "2026", "../../etc", "\n", "--json", "--limit", "--since", "-", "--output")
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("fuzz") / "store")
    made.prepare()
    made.commit(made.stage(crash().id), crash())
    return made


@given(mutated((CONFIGURATION, b"store: /srv\ngdb: {time: 5min}\n", b"&a [*a]", b"!!python/object:os.system {}")))
def test_a_configuration_is_parsed_or_rejected(text: bytes) -> None:
    with contextlib.suppress(BadConfiguration):
        assert isinstance(settings.parse(text, "fuzz"), Settings)


@given(mutated(PATTERNS))
def test_a_core_pattern_is_parsed(text: bytes) -> None:
    pattern = core_pattern.parse(text.decode(errors="surrogateescape"))

    assert pattern.directory is None or pattern.directory


@given(mutated(FACTS))
def test_a_report_of_the_gdb_script_is_parsed_or_ignored(data: bytes) -> None:
    assert isinstance(GdbFacts.from_json(data), GdbFacts)


def test_a_record_is_read_or_reported_as_damaged(store: Store) -> None:
    path = store.directory(crash().id) / RECORD_FILE
    whole = path.read_bytes()

    @given(mutated((whole,)))
    def read(record: bytes) -> None:
        path.write_bytes(record)
        with contextlib.suppress(DamagedRecord):
            assert isinstance(store.load(crash().id), Crash)

    try:
        read()
    finally:
        path.write_bytes(whole)


@given(mutated(BACKTRACES))
def test_any_text_is_diagnosed(text: bytes) -> None:
    diagnosis = diagnose(text.decode(errors="replace"))

    assert diagnosis.headline
    assert diagnosis.signature is None or re.fullmatch("[0-9a-f]{12}", diagnosis.signature.id)
    assert 0 <= diagnosis.quality <= 1
    crashed = replace(crash(), diagnosis=diagnosis)
    assert render(crashed, text.decode(errors="replace"))


@given(mutated([text.encode() for text, _ in REDACTED]))
def test_any_text_is_redacted(text: bytes) -> None:
    redactor = Redactor(hosts=["pbx7"])

    redacted = redactor.text(text.decode(errors="surrogateescape"))

    assert redacted.count("\n") <= text.count(b"\n")
    assert sum(redactor.counts.values()) <= len(text)


@given(mutated([b"\x1b[2J", "\u202e".encode(), b"plain"]))
def test_any_text_is_escaped(text: bytes) -> None:
    escaped = printable(text.decode(errors="surrogateescape"))

    assert all(character.isprintable() or character in "\n\t" for character in escaped)


@given(mutated([taskprocessor_listing(("pjsip/a-00000001", 84, 0), ("a b", 3, 501)).encode(), b"1 " * 2000 + b"x"]))
def test_a_listing_of_taskprocessors_is_parsed(text: bytes) -> None:
    for queue in taskprocessors.parse(text.decode(errors="replace")).values():
        assert isinstance(queue.is_overloaded(), bool)


@given(mutated(IDS).map(os.fsdecode) | st.text())
def test_an_id_matches_a_stored_crash_or_nothing(store: Store, given_id: str) -> None:
    with contextlib.suppress(NothingMatched):
        assert resolve(store, given_id) == crash().id


@limits(suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(READING), st.lists(WORDS | st.text(max_size=20), max_size=4))
def test_a_command_line_ends_with_a_documented_exit_code(store: Store, verb: str, words: list[str]) -> None:
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with quiet[0], quiet[1], contextlib.chdir(store.root.parent):  # some verbs write files to the working directory
        try:
            code = main(["--store", str(store.root), verb, *(word.replace("\0", "") for word in words)])
        except SystemExit as ended:
            code = int(ended.code or 0)

    assert code in set(ExitCode)
