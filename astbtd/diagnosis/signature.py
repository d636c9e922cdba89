"""Computes the signature of a crash: what crashes of one bug have in common, which is how they ended and in which code.

The rules are data, in words/signature.toml, as in Mozilla's Socorro: an ordered list, the first rule that applies
decides. The text is for people: `corruption found in moh_class_destructor`.
"""

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import islice
from typing import Any

from astbtd.diagnosis.crash_function import SOURCES, CrashStack, unique
from astbtd.diagnosis.frame_kind import FrameKind
from astbtd.diagnosis.qualified_name import qualify_name
from astbtd.model.diagnosis import DecidedSignature, MemoryCorruption

_MAX_NAME_LENGTH = 100
_NO_RULE, _RECURSION_RULE, _MESSAGE_RULE = "nothing", "recursion", "message"  # not in signature.toml
_ANY_RULE = "machinery"
_RULES_WITHOUT_FUNCTION = (_NO_RULE, "offset", "object", _ANY_RULE)
_STACK_OVERFLOW = "stack overflow in"
_LEAK = "leak in"
_DEADLOCK, _DEADLOCK_RULE = "deadlock in", "deadlock"
_OVERWRITTEN, _OVERWRITTEN_RULE = "stack overwritten in", "overwritten"


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
    """One way to find names: a source of crash_function.py, a list of names to skip, and how many names are used.

    `all_named`: the rule does not apply if code of Asterisk or of a module has no name.
    """

    name: str
    source: str
    skip: str | None = None
    max_names: int = 1
    all_named: bool = False

    def find_names(self, stack: CrashStack, min_names: int = 1) -> list[str]:
        """Return the names that this rule finds, none if it does not apply. `min_names` may raise its limit."""
        found = unique(SOURCES[self.source](stack, self.skip))
        count = max(self.max_names, min_names)
        return [name[:_MAX_NAME_LENGTH] for name in islice(found, count)]


def compute_signature(
    stack: CrashStack,
    corruption: MemoryCorruption | None = None,
    *,
    waiting: bool = False,
    leak: bool = False,
    recursion: Sequence[str] = (),
    function_in_message: str | None = None,
    has_core: bool = False,
) -> DecidedSignature | None:
    """Return the signature of a crash in `stack`; None if it would be the same for unrelated bugs.

    `waiting`: the thread did not crash, it waits for another one. `leak`: it allocated memory that was not freed.
    `recursion`: the functions that filled the stack. `function_in_message` is the function that a message names, which
    is used if the stack names none. `has_core`: the exact place in the build is known as well, so that the signature
    may be vague.
    """
    if recursion:
        return _to_signature(_STACK_OVERFLOW, recursion, _RECURSION_RULE)
    ending = _find_ending(stack, corruption, waiting)
    rule, names = _decide(stack, ending.min_names)
    if rule in _RULES_WITHOUT_FUNCTION and function_in_message:
        rule, names = _MESSAGE_RULE, [function_in_message]
    if not _distinguishes_bugs(rule, has_core):
        return None
    qualified = [qualify_name(name, stack.frames) for name in names]
    return _to_signature(_LEAK if leak else ending.text, qualified, rule)


def signature_of_overwritten(function: str) -> DecidedSignature:
    """Return the signature of a crash whose stack was overwritten, from the function whose frame it was."""
    return _to_signature(_OVERWRITTEN, [function], _OVERWRITTEN_RULE)


def signature_of_deadlock(functions: Sequence[str]) -> DecidedSignature:
    """Return the signature of a deadlock, from the functions in which its threads wait."""
    return _to_signature(_DEADLOCK, functions, _DEADLOCK_RULE)


def _to_signature(ending: str, names: Sequence[str], rule: str) -> DecidedSignature:
    text = f"{ending} {' < '.join(names)}"
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return DecidedSignature(digest[:12], text, rule)


def _distinguishes_bugs(rule: str, has_core: bool) -> bool:
    """Return False if crashes of unrelated bugs would have this signature: one of functions of the C library only."""
    if rule == _NO_RULE:
        return False
    return has_core or rule != _ANY_RULE


def rules_version() -> int:
    """Return the version of the rules. Signatures of an older version are computed again."""
    return int(_load_document()["version"])


def versioned_rule(signature: DecidedSignature) -> str:
    """Return the rule that decided a signature, with the version of the rules: `function/2`."""
    return f"{signature.rule}/{rules_version()}"


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
        if rule.all_named and stack.has_unnamed_code:
            continue
        if names := rule.find_names(stack, min_names):
            return rule.name, names
    return _NO_RULE, []


@cache
def _load_document() -> dict[str, Any]:
    path = resources.files("astbtd.diagnosis") / "words" / "signature.toml"
    return tomllib.loads(path.read_text("utf-8"))


@cache
def _load_rules() -> dict[str, Rule]:
    return {
        rule["name"]: Rule(
            rule["name"], rule["from"], rule.get("skip"), rule.get("max_names", 1), rule.get("all_named", False)
        )
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
