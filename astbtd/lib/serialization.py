"""Turns plain data (from JSON or YAML) into frozen dataclasses and back, naming every error by its key path."""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import cache, partial
from typing import Any, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True)
class HumanFormat:
    """An annotation for a field that people write in words, such as `14d`: its parser and what it allows.

    `parse` takes what stands in the file and raises ValueError for what is not allowed.
    """

    parse: Callable[[object], object]
    allowed: str


@dataclass
class Decoder:
    """Collects the errors of one decoding; `strict` makes an unknown key an error."""

    strict: bool
    problems: list[str] = field(default_factory=list)

    def dataclass(self, kind: type[T], data: object, where: str, base: object = None) -> T | None:
        """`data` as a `kind`, None if it has an error; keys missing there are as in `base`, else as by default."""
        if not isinstance(data, Mapping):
            return cast(None, self._problem(where, f"must be a mapping, not {_shown(data)}"))
        before = len(self.problems)
        self._unknown_keys(data, kind, where)
        values: dict[str, object] = {}
        for item in _items(cast(Any, kind)):
            here = f"{where}.{item.name}" if where else item.name
            if item.name in data and not item.completes:
                values[item.name] = self.value(item.kind, data[item.name], here)
                continue
            given = self._absent(item, here) if base is None else getattr(base, item.name)
            values[item.name] = self.dataclass(item.kind, data[item.name], here, given) if item.name in data else given
        return kind(**values) if len(self.problems) == before else None

    def value(self, kind: Any, data: object, where: str) -> object:
        """`data` as any type that the model and the settings use."""
        form, part = _form(kind)
        if form is _Form.SCALAR:
            return self._scalar(kind, data, where)
        if form is _Form.OPTIONAL:
            return None if data is None else self.value(part, data, where)
        if form is _Form.DATACLASS:
            return self.dataclass(part, data, where)
        if form is _Form.TUPLE:
            return self._tuple(part, data, where)
        if form is _Form.MAPPING:
            return self._mapping(part, data, where)
        return self._annotated(kind, data, where)

    def _absent(self, item: "_Item", where: str) -> object:
        return self._problem(where, "is missing") if item.default is None else item.default()

    def _annotated(self, kind: Any, data: object, where: str) -> object:
        base, wording = typing.get_args(kind)
        if data is None and type(None) in typing.get_args(base):
            return None
        try:
            return wording.parse(data)
        except ValueError:
            return self._problem(where, f"must be {wording.allowed}, not {_shown(data)}")

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
        if moment is None or moment.tzinfo is None:  # without a zone it cannot be compared with the others
            return self._problem(where, f"must be a time as in RFC 3339, not {_shown(data)}")
        return moment

    def _unknown_keys(self, data: Mapping[object, object], kind: Any, where: str) -> None:
        if self.strict:
            known = [item.name for item in _items(kind)]
            for key in data:
                if key not in known:
                    self._problem(_join(where, str(key)), f"is unknown; known here: {', '.join(known)}")

    def _problem(self, where: str, what: str) -> object:
        self.problems.append(f"{where or 'the document'}: {what}")
        return None


class _Form(Enum):
    """What kinds of type there are, and so how one is decoded."""

    SCALAR = 1
    OPTIONAL = 2
    DATACLASS = 3
    TUPLE = 4
    MAPPING = 5
    ANNOTATED = 6


@cache
def _form(kind: Any) -> tuple[_Form, Any]:
    """The form of a type, and the type of what is in it. Looked at once: there are thousands of records."""
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
    """A field of a dataclass; `default` makes its default, which `completes` what is given, or gives way to it."""

    name: str
    kind: Any
    default: Callable[[], Any] | None
    completes: bool


@cache
def _items(kind: Any) -> tuple[_Item, ...]:
    """The fields of a dataclass."""
    return tuple(map(_item, dataclasses.fields(kind)))


def _item(field: "dataclasses.Field[Any]") -> _Item:
    """Of a field whose type is given as such, not as text that would have to be evaluated."""
    default: Callable[[], Any] | None = None
    if field.default is not MISSING:
        default = partial(_same, field.default)
    elif field.default_factory is not MISSING:
        default = field.default_factory
    return _Item(field.name, field.type, default, default is not None and dataclasses.is_dataclass(default()))


def _same(value: T) -> T:
    return value


def plain(value: object) -> Any:
    """`value` as plain data for JSON: dataclasses to dictionaries, times to RFC 3339, tuples to lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def rfc3339(moment: datetime) -> str:
    """`moment` in UTC with milliseconds, as `2026-11-22T20:50:00.123Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_KINDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _shown(data: object) -> str:
    text = repr(data)
    return text if len(text) <= 60 else text[:57] + "..."
