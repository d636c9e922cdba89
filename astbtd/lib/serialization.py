"""Convert plain data from JSON or YAML into frozen dataclasses and back; every error is reported with its key path."""

import dataclasses
import json
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import cache, partial
from typing import Any, TypeVar, cast

T = TypeVar("T")

_CONTROLS = re.compile("[\x7f-\x9f]")
"""Control characters that JSON permits in a string. They occur nowhere else in a document."""


@dataclass(frozen=True)
class HumanFormat:
    """Annotation of a field that people write in a format of its own, such as `14d`.

    `parse` converts the value found in the file and raises ValueError if it is invalid. `allowed` describes the valid
    values for an error message, which shows the invalid one unless that may be a secret in the wrong place.
    """

    parse: Callable[[object], object]
    allowed: str
    shows_value: bool = True


@dataclass
class Decoder:
    """Decodes one document and collects all its errors in `problems`. With `strict`, an unknown key is an error."""

    strict: bool
    problems: list[str] = field(default_factory=list)

    def decode(self, kind: type[T], data: object, where: str, base: object = None) -> T | None:
        """Convert `data` to the dataclass `kind`; return None if it has errors. `where` is the key path of `data`.

        Missing keys get their values from `base`, an instance of `kind`, or their defaults if there is no `base`.
        """
        if not isinstance(data, Mapping):
            return cast(None, self._problem(where, f"must be a mapping, not {_shown(data)}"))
        before = len(self.problems)
        self._check_unknown_keys(data, kind, where)
        values: dict[str, object] = {}
        for item in _items(cast(Any, kind)):
            here = f"{where}.{item.name}" if where else item.name
            if item.name in data and not item.merges_with_default:
                values[item.name] = self.value(item.kind, data[item.name], here)
                continue
            default = self._default(item, here) if base is None else getattr(base, item.name)
            if item.name in data:
                values[item.name] = self.decode(item.kind, data[item.name], here, default)
            else:
                values[item.name] = default
        return kind(**values) if len(self.problems) == before else None

    def value(self, kind: Any, data: object, where: str) -> object:
        """Convert `data` to `kind`, which may be any type used in the records and the settings."""
        form, part = _form(kind)
        if form is _Form.SCALAR:
            return self._scalar(kind, data, where)
        if form is _Form.OPTIONAL:
            return None if data is None else self.value(part, data, where)
        if form is _Form.DATACLASS:
            return self.decode(part, data, where)
        if form is _Form.TUPLE:
            return self._tuple(part, data, where)
        if form is _Form.MAPPING:
            return self._mapping(part, data, where)
        return self._annotated(kind, data, where)

    def _default(self, item: "_Item", where: str) -> object:
        return self._problem(where, "is missing") if item.default is None else item.default()

    def _annotated(self, kind: Any, data: object, where: str) -> object:
        base, human_format = typing.get_args(kind)
        if data is None and type(None) in typing.get_args(base):
            return None
        try:
            return human_format.parse(data)
        except ValueError:
            found = f", not {_shown(data)}" if human_format.shows_value else ""
            return self._problem(where, f"must be {human_format.allowed}{found}")

    def _tuple(self, kind: Any, data: object, where: str) -> object:
        if not isinstance(data, list | tuple):
            return self._problem(where, f"must be a list, not {_shown(data)}")
        return tuple(self.value(kind, item, f"{where}[{index}]") for index, item in enumerate(data))

    def _mapping(self, kind: Any, data: object, where: str) -> object:
        if not isinstance(data, Mapping):
            return self._problem(where, f"must be a mapping, not {_shown(data)}")
        return {str(key): self.value(kind, item, _join(where, str(key))) for key, item in data.items()}

    def _scalar(self, kind: Any, data: object, where: str) -> object:
        if issubclass(kind, Enum):
            return self._enum(kind, data, where)
        if kind is datetime:
            return self._time(data, where)
        if kind is float and isinstance(data, int) and not isinstance(data, bool):
            return float(data)
        if not isinstance(data, kind) or (isinstance(data, bool) and kind is not bool):
            return self._problem(where, f"must be {_KINDS[kind]}, not {_shown(data)}")
        return data

    def _enum(self, kind: type[Enum], data: object, where: str) -> object:
        try:
            return kind(data)
        except ValueError:
            allowed = ", ".join(str(member.value) for member in kind)
            return self._problem(where, f"must be one of {allowed}, not {_shown(data)}")

    def _time(self, data: object, where: str) -> object:
        try:
            moment = datetime.fromisoformat(cast(str, data))
        except (ValueError, TypeError):
            moment = None
        if moment is None or moment.tzinfo is None:  # a time without a zone cannot be compared with others
            return self._problem(where, f"must be a time as in RFC 3339, not {_shown(data)}")
        return moment

    def _check_unknown_keys(self, data: Mapping[object, object], kind: Any, where: str) -> None:
        if self.strict:
            known = [item.name for item in _items(kind)]
            for key in data:
                if key not in known:
                    self._problem(_join(where, str(key)), f"unknown key; valid keys: {', '.join(known)}")

    def _problem(self, where: str, what: str) -> object:
        self.problems.append(f"{where or 'the document'}: {what}")
        return None


class _Form(Enum):
    """The categories of types; each is decoded in its own way."""

    SCALAR = 1
    OPTIONAL = 2
    DATACLASS = 3
    TUPLE = 4
    MAPPING = 5
    ANNOTATED = 6


@cache
def _form(kind: Any) -> tuple[_Form, Any]:
    """Return the category of a type and its element type. Cached: there may be thousands of records to decode."""
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return _Form.ANNOTATED, None
    if origin in (types.UnionType, typing.Union):
        return _Form.OPTIONAL, next(part for part in parts if part is not type(None))
    if origin is tuple:
        return _Form.TUPLE, parts[0]
    if origin is not None:
        return _Form.MAPPING, parts[1]
    return (_Form.DATACLASS if dataclasses.is_dataclass(kind) else _Form.SCALAR), kind


@dataclass(frozen=True)
class _Item:
    """A field of a dataclass. `default` creates its default value, None if it has none.

    With `merges_with_default`, given data replaces only parts of the default, which is a dataclass itself.
    """

    name: str
    kind: Any
    default: Callable[[], Any] | None
    merges_with_default: bool


@cache
def _items(kind: Any) -> tuple[_Item, ...]:
    """Return the fields of a dataclass."""
    return tuple(map(_item, dataclasses.fields(kind)))


def _item(field: "dataclasses.Field[Any]") -> _Item:
    """Describe a field. Its type must be a type, not a string that would have to be evaluated."""
    default: Callable[[], Any] | None = None
    if field.default is not MISSING:
        default = partial(_identity, field.default)
    elif field.default_factory is not MISSING:
        default = field.default_factory
    if default is not None and dataclasses.is_dataclass(default()):
        return _Item(field.name, type(default()), default, merges_with_default=True)
    return _Item(field.name, field.type, default, merges_with_default=False)


def _identity(value: T) -> T:
    return value


def to_plain(value: object) -> Any:
    """Convert `value` to plain data for JSON: dataclasses to dictionaries, times to RFC 3339 text, tuples to lists."""
    if value is None or type(value) in _KINDS:  # most values: what follows would take far longer
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: to_plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return format_rfc3339(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    return value


def json_text(value: object, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """Return `value` as JSON for files and pipes. Control characters are escaped, even those that JSON permits.

    U+007F to U+009F are such: `cat` and `less -r` would pass them on to the terminal, which may obey them.
    """
    return plain_json_text(to_plain(value), indent=indent, ascii_only=ascii_only)


def plain_json_text(value: object, *, indent: int | None = None, ascii_only: bool = False) -> str:
    """Do the same for plain data, as `to_plain` returns it."""
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    return _CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def format_rfc3339(moment: datetime) -> str:
    """Format `moment` in UTC with milliseconds: `2026-11-22T20:50:00.123Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _shown(data: object) -> str:
    text = repr(data)
    return text if len(text) <= 60 else text[:57] + "..."
