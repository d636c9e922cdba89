"""The manual pages describe the program: every verb, option, setting and JSON field, and nothing else."""

import argparse
import dataclasses
import json
import re
import shutil
import subprocess
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from astbtd import settings
from astbtd.cli.commands import check as check_verb
from astbtd.cli.commands.report_issue import IssueAddresses
from astbtd.cli.main import VERBS, main, make_parser
from astbtd.lib.serialization import to_plain
from astbtd.model.crash import Crash
from astbtd.model.deadlock_capture import Deadlock
from astbtd.model.diagnosis import Diagnosis
from astbtd.readiness.facts import Facts
from astbtd.readiness.result import Readiness
from astbtd.settings import Settings
from astbtd.store.captures import Captures
from astbtd.store.signature_statistics import SignatureCount, SiteCount
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.deadlocks import capture
from tests.support.readiness_facts import HOST, INSTANCE

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "man").iterdir())

DATACLASSES = {
    "CRASH.JSON": Crash,
    "DEADLOCK.JSON": Deadlock,
    "ASTBTD TOP": SignatureCount,
    "ASTBTD TOP --SITES": SiteCount,
    "ASTBTD REPORT": IssueAddresses,
    "ASTBTD CHECK": Readiness,
}
"""The sections of astbtd.json(5) that document a dataclass. Those of the other verbs document what the verb prints."""

OPEN_OBJECTS = {"extraction.sections"}
"""Objects whose keys are not fields: the names of files."""

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@dataclass(frozen=True)
class Field:
    """A field in astbtd.json(5): its type, without the unit, and its description."""

    type: str
    text: str


@cache
def read_page(name: str) -> str:
    """Return the source of a page, with hyphens and fonts unescaped."""
    return re.sub(r"\\f[BIPR]", "", (ROOT / "man" / name).read_text()).replace(r"\-", "-").replace(r"\&", "")


def page_sections(name: str) -> dict[str, str]:
    """Return the sections of a page by their titles."""
    parts = re.split(r'^\.SH "?([^"\n]+)"?\n', read_page(name), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def documented_fields(title: str) -> dict[str, Field]:
    """Return the fields of a section of astbtd.json(5) by their paths."""
    section = page_sections("astbtd.json.5")[title]
    found = re.findall(
        r'^\.TP\n\.BR (\S+) " \(([^,)]+)(?:, [^)]+)?\)"\n(.*?)(?=^\.TP|^\.PP|\Z)', section, re.MULTILINE | re.DOTALL
    )
    return {path: Field(kind, " ".join(text.split())) for path, kind, text in found}


def documented_types(title: str) -> dict[str, str]:
    return {path: field.type for path, field in documented_fields(title).items()}


def documented_example(title: str) -> Any:
    section = page_sections("astbtd.json.5")[title]
    (example,) = re.findall(r"^\.EX\n(.*?)^\.EE$", section, re.MULTILINE | re.DOTALL)
    return json.loads(example.replace(r"\e", "\\"))


def unwrap(kind: Any) -> tuple[Any, str]:
    """Return the type of the elements of a type, and what has to be added to the path to name a field of them."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return unwrap(next(part for part in parts if part is not type(None)))
    if origin is not None and not issubclass(origin, Mapping):
        return unwrap(parts[0])[0], "[]."
    return kind, "."


def type_name(kind: Any) -> str:
    """Return the name that the page uses for a type of the model."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return f"{type_name(next(part for part in parts if part is not type(None)))} or null"
    if dataclasses.is_dataclass(kind) or (origin is not None and issubclass(origin, Mapping)):
        return "object"
    if origin is not None:
        return f"array of {type_name(parts[0])}s"
    if issubclass(kind, Enum):
        return "string"
    return {str: "string", bool: "boolean", int: "integer", float: "number", datetime: "time"}[kind]


def model_fields(kind: type, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the type of each field of a dataclass and of the dataclasses in it."""
    hints = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        path = prefix + field.name
        yield path, hints[field.name]
        element, separator = unwrap(hints[field.name])
        if dataclasses.is_dataclass(element):
            yield from model_fields(typing.cast(type, element), path + separator)


def json_values(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path and the value of each field in a JSON document; an array at the top is passed over."""
    if isinstance(value, list):
        for item in value:
            yield from json_values(item, f"{path}[]" if path else "")
    elif isinstance(value, dict) and path not in OPEN_OBJECTS:
        for key, item in value.items():
            here = f"{path}.{key}" if path else key
            yield here, item
            yield from json_values(item, here)


def conforms(value: Any, kind: str) -> bool:
    """Whether a JSON value has a documented type."""
    if kind.endswith(" or null"):
        return value is None or conforms(value, kind.removesuffix(" or null"))
    if kind.startswith("array of "):
        element = kind.removeprefix("array of ").removesuffix("s")
        return isinstance(value, list) and all(conforms(item, element) for item in value)
    if kind == "time":
        return isinstance(value, str) and bool(TIME.fullmatch(value))
    if kind in ("integer", "number") and isinstance(value, bool):
        return False
    accepted: dict[str, tuple[type, ...]] = {
        "string": (str,),
        "integer": (int,),
        "number": (int, float),
        "boolean": (bool,),
        "object": (dict,),
    }
    return isinstance(value, accepted[kind])


def check_document(document: Any, title: str) -> None:
    """Check that a document has the fields that are documented, with values of their types."""
    types = documented_types(title)
    values = list(json_values(document))
    missing = {path for path in types if path not in dict(values)}
    # A null has no fields; an array may be empty.
    empty = {path for path, value in values if value is None or value == []}
    missing = {path for path in missing if not any(path.startswith((f"{each}.", f"{each}[]")) for each in empty)}
    assert (missing, {path for path, _ in values} - types.keys()) == (set(), set())
    assert [(path, value) for path, value in values if not conforms(value, types[path])] == []


@pytest.fixture
def astbtd(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `astbtd VERB --json` on a store with an old crash, a capture and a defect; returns the document."""
    configuration = tmp_path / "astbtd.yaml"
    configuration.write_text(f"store: {tmp_path}/store\nwatch: {{directories: [{tmp_path}]}}\n")
    store = Store(tmp_path / "store")
    store.prepare()
    old = datetime.now(UTC) - timedelta(days=3650)
    record = replace(crash(), collected_at=old)
    staged = store.stage(record.id)
    (staged / "backtrace.txt").write_text("Thread 1 (LWP 1):\n#0  0x1 in main () at main.c:1\n")
    store.commit(staged, record)
    (store.root / "crashes" / "readme").touch()
    captures = Captures(store.root)
    captures.prepare()
    captures.commit(captures.stage(capture(1).id), capture(1), keep=1)

    def run(*arguments: str) -> Any:
        main(["--config", str(configuration), *arguments, "--json"])
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("title", DATACLASSES)
def test_every_field_of_the_model_is_documented_with_its_type_and_no_other(title: str) -> None:
    expected = {path: type_name(kind) for path, kind in model_fields(DATACLASSES[title])}

    assert documented_types(title) == expected


@pytest.mark.parametrize("title", DATACLASSES)
def test_every_value_of_an_enumeration_is_documented(title: str) -> None:
    fields = documented_fields(title)
    enumerations = {path: unwrap(kind)[0] for path, kind in model_fields(DATACLASSES[title])}

    undocumented = [
        (path, member.value)
        for path, kind in enumerations.items()
        if isinstance(kind, type) and issubclass(kind, Enum) and path != "checks[].name"  # these are in astbtd(8)
        for member in kind
        if not re.search(rf"(?<!\w){re.escape(member.value)}(?!\w)", fields[path].text)
    ]

    assert undocumented == []


@pytest.mark.parametrize("title", [*DATACLASSES, "ASTBTD PRUNE", "ASTBTD FSCK", "ASTBTD CHECK-CONFIG"])
def test_every_field_that_can_be_null_says_what_null_means(title: str) -> None:
    unexplained = [
        path
        for path, field in documented_fields(title).items()
        if field.type.endswith("or null") != bool(re.search(r"\bNull\b", field.text))
    ]

    assert unexplained == []


@pytest.mark.parametrize("title", [*DATACLASSES, "ASTBTD PRUNE", "ASTBTD FSCK", "ASTBTD CHECK-CONFIG"])
def test_the_example_has_the_documented_fields(title: str) -> None:
    check_document(documented_example(title), title)


@pytest.mark.parametrize(
    ("arguments", "title"),
    [
        (["show"], "CRASH.JSON"),
        (["list"], "CRASH.JSON"),
        (["list", "--deadlocks"], "DEADLOCK.JSON"),
        (["top"], "ASTBTD TOP"),
        (["report", "latest"], "ASTBTD REPORT"),
        (["prune", "--dry-run"], "ASTBTD PRUNE"),
        (["fsck"], "ASTBTD FSCK"),
        (["check-config"], "ASTBTD CHECK-CONFIG"),
    ],
)
def test_a_verb_prints_the_documented_fields(astbtd: Any, arguments: list[str], title: str) -> None:
    document = astbtd(*arguments)

    assert document
    check_document(document, title)


def test_check_prints_the_documented_fields(astbtd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_verb, "gather_facts", lambda *_: Facts(HOST, [INSTANCE]))

    check_document(astbtd("check"), "ASTBTD CHECK")


def test_diagnose_prints_the_diagnosis_of_a_record(astbtd: Any, tmp_path: Path) -> None:
    (text,) = (tmp_path / "store" / "crashes").glob("*/backtrace.txt")

    diagnosis = astbtd("diagnose", str(text))

    assert diagnosis.keys() == {field.name for field in dataclasses.fields(Diagnosis)}
    check_document({**to_plain(crash()), "diagnosis": diagnosis}, "CRASH.JSON")


def test_every_verb_with_json_is_in_the_page_of_json() -> None:
    page = read_page("astbtd.json.5")
    with_json = [verb for verb, parser in verb_parsers().items() if "--json" in visible_options(parser)]

    assert [verb for verb in with_json if not re.search(rf"astbtd {verb}( --\w+)* --json", page)] == []


@cache
def verb_parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each verb."""
    (subparsers,) = (
        action for action in make_parser(list(VERBS))._actions if isinstance(action, argparse._SubParsersAction)
    )
    return dict(subparsers.choices)


def visible_options(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Return the options that help shows, each with its argument (empty if it has none)."""
    return {
        action.option_strings[-1]: str(action.metavar or "")
        for action in parser._actions
        if action.option_strings and action.help != argparse.SUPPRESS
    }


@cache
def documented_verbs() -> dict[str, str]:
    """Return the headings of the verbs in astbtd(8), by verb: options and arguments."""
    entries = re.findall(r"^\.T[PQ]\n\.BR? ([\w-]+)(.*)$", page_sections("astbtd.8")["VERBS"], re.MULTILINE)
    return {verb: heading.replace('"', "") for verb, heading in entries}


def test_every_verb_has_an_entry_in_the_manual_and_no_other() -> None:
    assert list(documented_verbs()) == list(VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_in_its_entry_and_no_other(verb: str) -> None:
    common = visible_options(make_parser([]))
    options = {name: value for name, value in visible_options(verb_parsers()[verb]).items() if name not in common}
    documented = dict(re.findall(r"(--[\w-]+)(?: ([A-Z]+))?", documented_verbs()[verb]))

    assert documented == options


@pytest.mark.parametrize("verb", VERBS)
def test_the_arguments_of_a_verb_are_in_its_entry(verb: str) -> None:
    (*arguments,) = (str(action.metavar) for action in verb_parsers()[verb]._actions if not action.option_strings)
    without_options = re.sub(r"--[\w-]+( [A-Z]+)?", "", documented_verbs()[verb])

    assert re.findall(r"[A-Z]+", without_options) == arguments


def test_the_common_options_are_in_the_synopsis() -> None:
    synopsis = page_sections("astbtd.8")["SYNOPSIS"]
    common = {"--config", "--store"}

    assert set(visible_options(make_parser([]))) == {*common, "--help", "--version"}
    assert {option for option in common if option in synopsis} == common


def test_every_setting_is_in_its_page_with_its_default() -> None:
    keys = re.findall(r'^\.T[PQ]\n\.BR ([\w.]+) ": (.*)"$', read_page("astbtd.yaml.5"), re.MULTILINE)
    documented: dict[str, Any] = {}
    for key, default in keys:
        *groups, name = key.split(".")
        group = documented
        for each in groups:
            group = group.setdefault(each, {})
        group[name] = yaml.safe_load(default)

    assert settings.parse(yaml.safe_dump(documented).encode(), "astbtd.yaml.5") == Settings()
    assert setting_names(documented) == setting_names(dataclasses.asdict(Settings()))


def setting_names(data: Mapping[str, Any], prefix: str = "") -> set[str]:
    """Return the keys of all values, with the keys of the mappings they are in."""
    names: set[str] = set()
    for key, value in data.items():
        names |= setting_names(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key}
    return names


@pytest.mark.parametrize("script", ["install", "uninstall"])
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_is_installed_and_uninstalled(script: str, page: Path) -> None:
    assert f"share/man/man{page.suffix[1:]}/{page.name}" in (ROOT / "packaging" / script).read_text()


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not installed")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_is_valid(page: Path) -> None:
    done = subprocess.run(
        ["groff", "-t", "-man", "-Tutf8", "-ww", "-rLL=100n", page], capture_output=True, text=True, check=True
    )

    assert done.stderr == ""
