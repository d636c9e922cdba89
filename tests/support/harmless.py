"""Checks that a line for people or other programs contains no control characters."""

import unicodedata

_CONTROL = frozenset(("Cc", "Cs", "Zl", "Zp"))  # control characters, lone surrogates, line and paragraph separators
_DIRECTIONAL = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))
_MARKS = frozenset("\u061c\u200e\u200f")


def harmless(line: str) -> bool:
    """Return whether a line has no line break, no terminal control and no change of the text direction."""
    return not any(
        unicodedata.category(char) in _CONTROL or unicodedata.bidirectional(char) in _DIRECTIONAL or char in _MARKS
        for char in line
    )
