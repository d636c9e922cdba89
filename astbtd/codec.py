"""Turns plain data (from JSON or YAML) into frozen dataclasses and back, naming every error by its key path."""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from typing import Any, TypeVar, cast

T = TypeVar("T")


@dataclass(frozen=True)
class Wording:
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
        hints = field_types(cast(Any, kind))
        before = len(self.problems)
        self._unknown_keys(data, hints, where)
        values: dict[str, object] = {}
        for item in dataclasses.fields(cast(Any, kind)):
            default = _default(item) if base is None else getattr(base, item.name)
            here = _join(where, item.name)
            if item.name not in data:
                values[item.name] = self._problem(here, "is missing") if default is MISSING else default
            elif dataclasses.is_dataclass(default):
                values[item.name] = self.dataclass(hints[item.name], data[item.name], here, default)
            else:
                values[item.name] = self.value(hints[item.name], data[item.name], here)
        return kind(**values) if len(self.problems) == before else None

    def value(self, kind: Any, data: object, where: str) -> object:
        """`data` as any type that the model and the settings use."""
        origin = typing.get_origin(kind)
        if origin is typing.Annotated:
            return self._annotated(kind, data, where)
        if origin in (types.UnionType, typing.Union):
            return None if data is None else self.value(_without_none(kind), data, where)
        if origin is tuple:
            return self._tuple(typing.get_args(kind)[0], data, where)
        if origin is not None:
            return self._mapping(typing.get_args(kind)[1], data, where)
        if dataclasses.is_dataclass(kind):
            return self.dataclass(cast(type[object], kind), data, where)
        return self._scalar(kind, data, where)

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

    def _unknown_keys(self, data: Mapping[object, object], hints: Mapping[str, object], where: str) -> None:
        if self.strict:
            for key in data:
                if key not in hints:
                    self._problem(_join(where, str(key)), f"is unknown; known here: {', '.join(hints)}")

    def _problem(self, where: str, what: str) -> object:
        self.problems.append(f"{where or 'the document'}: {what}")
        return None


@cache
def field_types(kind: Any) -> dict[str, Any]:
    """The types of a dataclass's fields by name, annotations included."""
    return typing.get_type_hints(kind, include_extras=True)


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


def _default(item: "dataclasses.Field[Any]") -> Any:
    return item.default if item.default_factory is MISSING else item.default_factory()


def _without_none(kind: Any) -> Any:
    return next(part for part in typing.get_args(kind) if part is not type(None))


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _shown(data: object) -> str:
    text = repr(data)
    return text if len(text) <= 60 else text[:57] + "..."
