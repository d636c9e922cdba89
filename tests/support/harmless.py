"""Judges what is shown to people and sent to other programs: can anything in it pass for more than one line of text?"""

import unicodedata

_STEERING = frozenset(("Cc", "Cs", "Zl", "Zp"))  # control characters, lone surrogates, line and paragraph separators
_TURNING = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))
_MARKS = frozenset("\u061c\u200e\u200f")


def harmless(line: str) -> bool:
    """Whether a line holds nothing that ends it, steers a terminal, or reverses the order of what is read."""
    return not any(
        unicodedata.category(char) in _STEERING or unicodedata.bidirectional(char) in _TURNING or char in _MARKS
        for char in line
    )
