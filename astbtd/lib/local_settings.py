"""Read a configuration from several YAML files: the main file, then those of local settings, merged in order."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from astbtd.errors import BadConfiguration
from astbtd.lib.configuration_file import duplicate_keys, read_trusted

Document = dict[object, object]

_ONLY_COMMENTS = re.compile(rb"(?:[ \t]*(?:#[\t -~]*)?\r?\n)*")


@dataclass(frozen=True)
class ParsedYaml:
    """A YAML document, and the errors that YAML itself accepts: keys that are given twice."""

    document: object
    problems: Sequence[str] = ()


def local_files(main: Path) -> list[Path]:
    """Return the files of local settings that belong to a main file, sorted by name.

    They are named `*.yaml`, in a directory whose name ends in `.d` in the place of the `.yaml` of the main file.
    """
    directory = main.with_suffix(".d")
    try:
        names = sorted(os.listdir(directory))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise BadConfiguration(str(directory), [f"cannot be read: {error.strerror}"]) from error
    return [directory / name for name in names if name.endswith(".yaml") and not name.startswith(".")]


def read_merged(paths: Sequence[Path], check: Callable[[ParsedYaml, str], object]) -> Document:
    """Return the settings of all files. Those of a later file replace those of an earlier one.

    Mappings are merged, lists replaced. `check` gets each parsed file and its name, and may raise
    BadConfiguration. Raises BadConfiguration with all errors of all files.
    """
    merged: Document = {}
    failures: list[BadConfiguration] = []
    for path in paths:
        try:
            parsed = _read(path)
            check(parsed, str(path))
            merged = _merge(merged, cast(Document, parsed.document))
        except BadConfiguration as error:
            failures.append(error)
    if len(failures) == 1:
        raise failures[0]
    if failures:
        problems = [f"{error.origin}: {problem}" for error in failures for problem in error.problems]
        raise BadConfiguration(str(paths[0]), problems)
    return merged


def parse_yaml(text: bytes, origin: str) -> ParsedYaml:
    """Parse a YAML document, an empty mapping if there is none. `origin` is its name in errors.

    Raises BadConfiguration.
    """
    if _ONLY_COMMENTS.fullmatch(text):
        return ParsedYaml({})
    import yaml  # takes longer to import than most commands run, and the installed configuration has only comments

    # libyaml's parser takes a tenth of the time of the one in Python; PyYAML is built without it on some machines.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    try:
        root = loader.get_single_node()
        duplicates = duplicate_keys(root)
        data = None if root is None else loader.construct_document(root)
    except (yaml.YAMLError, AttributeError, LookupError, RecursionError, ValueError) as error:  # what YAML tags raise
        raise BadConfiguration(origin, [f"invalid YAML: {' '.join(str(error).split())}"]) from error
    finally:
        loader.dispose()
    return ParsedYaml({} if data is None else data, duplicates)


def _merge(earlier: Document, later: Document) -> Document:
    merged = dict(earlier)
    for key, value in later.items():
        before = merged.get(key)
        merged[key] = _merge(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return merged


def _read(path: Path) -> ParsedYaml:
    try:
        return parse_yaml(read_trusted(path), str(path))
    except FileNotFoundError:
        raise BadConfiguration(str(path), ["does not exist"]) from None
    except OSError as error:
        raise BadConfiguration(str(path), [f"cannot be read: {error.strerror}"]) from error
