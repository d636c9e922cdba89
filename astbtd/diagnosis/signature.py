"""Says what crashes of one bug have in common: how the thread ended, and the code that is to blame.

The rules are data, in words/signature.toml, after the model of Mozilla's Socorro: an ordered list, of which the first
that applies decides. The text is for people: `free in moh_class_destructor`.
"""

import hashlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

from astbtd.diagnosis.crash_function import SOURCES, Stack, once
from astbtd.diagnosis.frame_kind import Role
from astbtd.model.crash import DecidedSignature, MemoryCorruption

_LONGEST_NAME = 100
_NOTHING = "nothing"


@dataclass(frozen=True)
class Ending:
    """One way to end: `words` are for the text, `names` is how many functions at least it takes to tell two apart; what
    stands in the other fields has to be so.
    """

    words: str
    names: int = 1
    corruption: MemoryCorruption | None = None
    parts: frozenset[Role] = frozenset()
    waiting: bool = False

    def is_that_of(self, stack: Stack, corruption: MemoryCorruption | None, waiting: bool) -> bool:
        """Whether `stack` ended this way."""
        aborted = Role.ABORT in self.parts and stack.asserted is not None
        return (
            (self.corruption is None or self.corruption is corruption)
            and (not self.parts or aborted or not self.parts.isdisjoint(stack.parts))
            and (not self.waiting or waiting)
        )


@dataclass(frozen=True)
class Rule:
    """One way to find a name: a source of naming.py, what it leaves out, and how many names it gives at most."""

    name: str
    source: str
    skip: str | None = None
    most: int = 1

    def names(self, stack: Stack, least: int = 1) -> list[str]:
        """The names that this rule finds, none if it does not apply; it may give up to `least`."""
        found = SOURCES[self.source](stack, self.skip)
        return [name[:_LONGEST_NAME] for name in islice(once(found), max(self.most, least))]


def signature(stack: Stack, corruption: MemoryCorruption | None = None, waiting: bool = False) -> DecidedSignature:
    """The signature of a crash in `stack`; `waiting`: it did not crash but waits for another thread."""
    ending = next(each for each in _endings() if each.is_that_of(stack, corruption, waiting))
    rule, names = next(_decisions(stack, ending.names), (_NOTHING, ["??"]))
    text = f"{ending.words} {' < '.join(names)}"
    return DecidedSignature(hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:12], text, rule)


def crash_function(stack: Stack) -> str | None:
    """The function to file the bug under, None if none is named."""
    rules = (_rules()[name] for name in _document()["crash_function"]["rules"])
    return next((name for rule in rules for name in rule.names(stack)), None)


def _decisions(stack: Stack, least: int) -> Iterator[tuple[str, list[str]]]:
    return ((rule.name, names) for rule in _rules().values() if (names := rule.names(stack, least)))


@cache
def _document() -> dict[str, Any]:
    return tomllib.loads((resources.files("astbtd.diagnosis") / "words" / "signature.toml").read_text("utf-8"))


@cache
def _rules() -> dict[str, Rule]:
    return {
        each["name"]: Rule(each["name"], each["from"], each.get("skip"), each.get("names", 1))
        for each in _document()["rule"]
    }


@cache
def _endings() -> tuple[Ending, ...]:
    return tuple(
        Ending(
            each["words"],
            each.get("names", 1),
            MemoryCorruption(each["corruption"]) if "corruption" in each else None,
            frozenset(map(Role, each.get("parts", ()))),
            each.get("waiting", False),
        )
        for each in _document()["ending"]
    )
