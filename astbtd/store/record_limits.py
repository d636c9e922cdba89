"""Make records that their reader accepts, however much a core claims: lists and texts are cut, and that is noted.

A core can name tens of thousands of files; a record that is larger than what the reader reads would be rejected, and
the claim retried for ever.
"""

from collections.abc import Mapping

from astbtd.lib.serialization import plain_json_text

LARGEST_RECORD = 4 << 20
"""The number of bytes that are read of a record of a crash or a capture."""

_ITEMS, _CHARACTERS = 1000, 1 << 16  # the first limits tried
_FEWEST_ITEMS, _FEWEST_CHARACTERS = 8, 256
_NOTED = 20  # places


def to_bounded_json(document: Mapping[str, object], largest: int = LARGEST_RECORD) -> bytes:
    """Return the document as JSON of at most `largest` bytes; describe in `extraction.notes` what was left out."""
    items, characters = _ITEMS, _CHARACTERS
    while True:
        cut = _Cut(items, characters)
        content = _encode(_with_notes(cut.value(document, ""), cut.notes()))
        if len(content) <= largest or items <= _FEWEST_ITEMS:
            return content
        items = max(items // 2, _FEWEST_ITEMS)
        characters = max(characters // 2, _FEWEST_CHARACTERS)


def _encode(document: object) -> bytes:
    return (plain_json_text(document, indent=2) + "\n").encode(errors="replace")


def _with_notes(document: object, notes: list[str]) -> object:
    """Add notes to `extraction.notes`, where a record has that."""
    if not notes or not isinstance(document, dict) or not isinstance(document.get("extraction"), dict):
        return document
    extraction = document["extraction"]
    known = extraction.get("notes") or []
    return {**document, "extraction": {**extraction, "notes": [*known, *(note for note in notes if note not in known)]}}


class _Cut:
    """Cuts lists to `items`, texts to `characters`, and counts what is left out, by place."""

    def __init__(self, items: int, characters: int) -> None:
        self._items = items
        self._characters = characters
        self._left_out: dict[str, int] = {}
        self._shortened: set[str] = set()

    def value(self, value: object, place: str) -> object:
        """Return a value of a JSON document, cut."""
        if isinstance(value, str):
            return self._text(value, place)
        if isinstance(value, list | tuple):
            self._count(place, len(value) - self._items)
            return [self.value(item, place) for item in value[: self._items]]
        if isinstance(value, Mapping):
            self._count(place, len(value) - self._items)
            kept = list(value.items())[: self._items]
            return {key: self.value(item, f"{place}.{key}" if place else str(key)) for key, item in kept}
        return value

    def notes(self) -> list[str]:
        """Return a sentence for each place where something was left out."""
        counted = [f"{count} entries of {place} were left out of the record" for place, count in self._left_out.items()]
        shortened = [f"texts in {place} were shortened in the record" for place in sorted(self._shortened)]
        return [*counted, *shortened][:_NOTED]

    def _text(self, text: str, place: str) -> str:
        if len(text) <= self._characters:
            return text
        self._shortened.add(place)
        return text[: self._characters]

    def _count(self, place: str, left_out: int) -> None:
        if left_out > 0:
            self._left_out[place] = self._left_out.get(place, 0) + left_out
