"""Computes the signature of a crash: what crashes of one bug have in common, which is how they ended and in which code.

The rules are data, in words/signature.toml, as in Mozilla's Socorro: an ordered list, the first rule that applies
decides. The text is for people: `corruption found in moh_class_destructor`.
"""

import hashlib
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

from astbtd.diagnosis.crash_function import SOURCES, CrashStack, unique
from astbtd.diagnosis.frame_kind import FrameKind
from astbtd.model.diagnosis import DecidedSignature, MemoryCorruption

_MAX_NAME_LENGTH = 100
_NO_RULE = "nothing"
_NO_NAMES = ["??"]


@dataclass(frozen=True)
class Ending:
    """One way to end. `text` is its part of the signature.

    `min_names` is how many functions are needed to distinguish bugs. The other fields are conditions: all must hold.
    """

    text: str
    min_names: int = 1
    corruption: MemoryCorruption | None = None
    kinds: frozenset[FrameKind] = frozenset()
    waiting: bool = False

    def applies_to(self, stack: CrashStack, corruption: MemoryCorruption | None, waiting: bool) -> bool:
        """Return True if `stack` ended in this way."""
        if self.corruption is not None and self.corruption is not corruption:
            return False
        if self.waiting and not waiting:
            return False
        return not self.kinds or self._has_kind(stack)

    def _has_kind(self, stack: CrashStack) -> bool:
        # If Asterisk's log has the assertion, the frames of the abort need not be in the text.
        aborted = stack.assertion_function is not None
        return (aborted and FrameKind.ABORT in self.kinds) or not self.kinds.isdisjoint(stack.library_kinds)


@dataclass(frozen=True)
class Rule:
    """One way to find names: a source of crash_function.py, a list of names to skip, and how many names are used."""

    name: str
    source: str
    skip: str | None = None
    max_names: int = 1

    def find_names(self, stack: CrashStack, min_names: int = 1) -> list[str]:
        """Return the names that this rule finds, none if it does not apply. `min_names` may raise its limit."""
        found = unique(SOURCES[self.source](stack, self.skip))
        count = max(self.max_names, min_names)
        return [name[:_MAX_NAME_LENGTH] for name in islice(found, count)]


def compute_signature(
    stack: CrashStack, corruption: MemoryCorruption | None = None, waiting: bool = False
) -> DecidedSignature:
    """Return the signature of a crash in `stack`. `waiting`: the thread did not crash, it waits for another one."""
    ending = _find_ending(stack, corruption, waiting)
    rule, names = _decide(stack, ending.min_names)
    text = f"{ending.text} {' < '.join(names)}"
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return DecidedSignature(digest[:12], text, rule)


def find_crash_function(stack: CrashStack) -> str | None:
    """Return the function to file the bug under, None if no frame names one."""
    for name in _load_document()["crash_function"]["rules"]:
        found = _load_rules()[name].find_names(stack)
        if found:
            return found[0]
    return None


def _find_ending(stack: CrashStack, corruption: MemoryCorruption | None, waiting: bool) -> Ending:
    for ending in _load_endings():
        if ending.applies_to(stack, corruption, waiting):
            return ending
    raise LookupError("the last ending in signature.toml must have no condition")


def _decide(stack: CrashStack, min_names: int) -> tuple[str, list[str]]:
    """Return the name of the first rule that applies, and the names it finds."""
    for rule in _load_rules().values():
        if names := rule.find_names(stack, min_names):
            return rule.name, names
    return _NO_RULE, _NO_NAMES


@cache
def _load_document() -> dict[str, Any]:
    path = resources.files("astbtd.diagnosis") / "words" / "signature.toml"
    return tomllib.loads(path.read_text("utf-8"))


@cache
def _load_rules() -> dict[str, Rule]:
    return {
        rule["name"]: Rule(rule["name"], rule["from"], rule.get("skip"), rule.get("max_names", 1))
        for rule in _load_document()["rule"]
    }


@cache
def _load_endings() -> tuple[Ending, ...]:
    return tuple(
        Ending(
            text=ending["text"],
            min_names=ending.get("min_names", 1),
            corruption=MemoryCorruption(ending["corruption"]) if "corruption" in ending else None,
            kinds=frozenset(map(FrameKind, ending.get("kinds", ()))),
            waiting=ending.get("waiting", False),
        )
        for ending in _load_document()["ending"]
    )
