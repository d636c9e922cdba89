"""Whatever the writer of records writes, their reader reads: also with more names than any process maps."""

import json
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from astbtd.lib import json_file
from astbtd.lib.serialization import Decoder
from astbtd.model.crash import Crash
from astbtd.store import record
from astbtd.store.record_limits import LARGEST_RECORD
from tests.support.builders import crash

TEXTS = st.text(max_size=50) | st.sampled_from(["\ud800", "\x1b[31m", "\u20ac" * 70_000, '"\\' * 40_000])
LISTS = st.lists(st.text(max_size=20), max_size=3).map(tuple) | st.sampled_from(
    [("/usr/lib/app.so",) * 60_000, ("x" * 5000,) * 1001]
)


def written_and_read(written: Crash, directory: Path) -> Crash:
    """Return the crash as it is read from the file that is written."""
    path = directory / "crash.json"
    path.write_bytes(record.to_json(written))
    return json_file.read(path, Crash, LARGEST_RECORD)


@settings(max_examples=12, deadline=None)
@given(notes=LISTS, options=LISTS, reasons=LISTS, advice=LISTS, command_line=TEXTS, path=TEXTS)
def test_every_record_that_is_written_can_be_read(
    notes: tuple[str, ...],
    options: tuple[str, ...],
    reasons: tuple[str, ...],
    advice: tuple[str, ...],
    command_line: str,
    path: str,
) -> None:
    plain = crash()
    large = replace(
        plain,
        core=replace(plain.core, path=path),
        process=replace(plain.process, command_line=command_line, executable=path),
        asterisk=replace(plain.asterisk, build_options=options),
        extraction=replace(plain.extraction, notes=notes),
        diagnosis=replace(plain.diagnosis, reasons=reasons, advice=advice),
    )

    content = record.to_json(large)

    assert len(content) <= LARGEST_RECORD
    decoder = Decoder(strict=False)
    read = decoder.decode(Crash, json.loads(content), "")
    assert read is not None, decoder.problems
    assert read.id == plain.id
    assert read.diagnosis.verdict == plain.diagnosis.verdict


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    plain = crash()
    names = tuple(f"gdb could not read /usr/lib/{number}.so" for number in range(60_000))
    large = replace(plain, extraction=replace(plain.extraction, notes=names))

    read = written_and_read(large, tmp_path)

    assert read.extraction.notes == (*names[:1000], "59000 entries of extraction.notes were left out of the record")


def test_a_record_can_be_rewritten_any_number_of_times(tmp_path: Path) -> None:
    plain = crash()
    names = tuple(f"gdb could not read /usr/lib/{number}.so" for number in range(60_000))
    once = written_and_read(replace(plain, extraction=replace(plain.extraction, notes=names)), tmp_path)

    twice = written_and_read(once, tmp_path)

    assert len(twice.extraction.notes) <= len(once.extraction.notes) + 1


def test_an_ordinary_record_is_not_changed(tmp_path: Path) -> None:
    assert written_and_read(crash(), tmp_path) == crash()
