"""The bundle of a real crash, made by the command, has none of the secrets that were in the memory of the process."""

import re
import tarfile
from pathlib import Path

import pytest

from astbtd.model.crash import Section
from tests.support.commands import run_astbtd, section_text
from tests.support.harness import RunningDaemon
from tests.support.secretive_crash import HARMLESS, SECRET, collect_crash_with_secrets, is_distinct


@pytest.fixture
def bundled(running: RunningDaemon, scratch: Path, spool: Path) -> tuple[str, dict[str, str]]:
    """The full backtrace of a program with all texts in its memory, and the files of its redacted bundle."""
    recorded = collect_crash_with_secrets(running, scratch / "asterisk-of-texts", spool)
    bundle = scratch / "bundle.tar.gz"

    done = run_astbtd(running, "bundle", "--redact", "--output", str(bundle), recorded.id)

    assert done.returncode == 0, done.stderr
    with tarfile.open(bundle) as archive:
        files = {Path(member.name).name: archive.extractfile(member) for member in archive if member.isfile()}
        texts = {name: file.read().decode() for name, file in files.items() if file}
    return section_text(running, recorded, Section.FULL), texts


def variables(text: str) -> list[str]:
    """Return the arguments and variables of each function `text_N` in a full backtrace, in the order of the table."""
    found = re.findall(r"^#\d+ .*?\btext_(\d+) (\(.*\)) at .*\n((?:(?!#\d).*\n)*)", text, re.MULTILINE)
    by_number = {int(number): f"{arguments}\n{inside}" for number, arguments, inside in found}
    return [by_number[number] for number in sorted(by_number)]


def test_no_secret_of_the_process_is_in_the_bundle(bundled: tuple[str, dict[str, str]]) -> None:
    full, files = bundled
    before, after = variables(full)[: len(SECRET)], variables(files[Section.FULL])[: len(SECRET)]
    assert len(before) == len(after) == len(SECRET)

    printed: set[str] = set()
    for (text, private), shown, redacted in zip(SECRET, before, after, strict=True):
        secrets = {part for part in private if part in shown}
        assert secrets or not private, f"gdb does not print {text}: {shown}"
        assert {part for part in secrets if part in redacted} == set(), redacted
        printed |= secrets
    distinct = set(filter(is_distinct, printed))
    assert len(distinct) > 80
    assert [(name, part) for name, text in files.items() for part in distinct if part in text] == []


def test_harmless_values_of_the_process_are_in_the_bundle_as_they_were(bundled: tuple[str, dict[str, str]]) -> None:
    full, files = bundled
    before, after = variables(full)[len(SECRET) :], variables(files[Section.FULL])[len(SECRET) :]

    assert len(before) == len(HARMLESS)
    assert after == before
