"""The state of the PBX: tables of its taskprocessors, bridges and channels, and the number of calls.

All of it is in the executable's own variables and types: no symbols of modules are needed. Differences between
Asterisk 16 and 22 are detected by name, not by version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import gdb

from astbtd.extraction.script.containers import ContainerWalk, container_kind
from astbtd.extraction.script.core_values import (
    Missing,
    NoDebugInformation,
    as_text,
    evaluate,
    lookup_struct,
    lookup_variable,
    member,
    returned_number,
)
from astbtd.extraction.script.text_table import Column, as_enumerator, as_number, as_time, format_table

TASKPROCESSOR_COLUMNS = (
    Column("Processor", as_text, "name"),
    Column("Processed", as_number, "stats._tasks_processed_count"),
    Column("In Queue", as_number, "tps_queue_size"),
    Column("Max Depth", as_number, "stats.max_qsize"),
    Column("Low water", as_number, "tps_queue_low"),
    Column("High water", as_number, "tps_queue_high"),
)
BRIDGE_COLUMNS = (
    Column("Bridge-ID", as_text, "uniqueid"),
    Column("Name", as_text, "name"),
    Column("Creator", as_text, "creator"),
    Column("Chans", as_number, "num_channels"),
    Column("Type", as_text, "v_table.name"),
    Column("Technology", as_text, "technology.name"),
    Column("Created", as_time, "creationtime"),
)
CHANNEL_COLUMNS = (
    Column("Channel", as_text, "name"),
    Column("Unique ID", as_text, "uniqueid.unique_id", "uniqueid"),
    Column("Context", as_text, "context"),
    Column("Extension", as_text, "exten"),
    Column("Priority", as_number, "priority"),
    Column("State", as_enumerator, "state"),
    Column("Application", as_text, "appl"),
    Column("Data", as_text, "data"),
    Column("Caller ID", as_text, "caller.id.number.str"),
    Column("Caller name", as_text, "caller.id.name.str"),
    Column("Created", as_time, "creationtime"),
    Column("Accountcode", as_text, "accountcode"),
    Column("PeerAccount", as_text, "peeraccount"),
    Column("Bridge-ID", as_text, "bridge.uniqueid"),
)
MAP_DRIVER = "cpp_map_name_id"


def taskprocessors() -> str:
    """Return the table of taskprocessors. Raise Missing."""
    container = lookup_variable("tps_singletons", "taskprocessor.c")
    return _format_container("Taskprocessors", TASKPROCESSOR_COLUMNS, container, "ast_taskprocessor")


def bridges() -> str:
    """Return the table of bridges. Raise Missing."""
    return _format_container("Bridges", BRIDGE_COLUMNS, lookup_variable("bridges", "bridge.c"), "ast_bridge")


def _format_container(title: str, columns: Sequence[Column], container: gdb.Value, kind: str) -> str:
    storage = _Container("", container)
    walk = ContainerWalk()
    return format_table(title, columns, _cast_all(kind, storage.pointers(walk)), walk, storage.count())


def channels() -> str:
    """Return the table of channels. Raise Missing."""
    storage = _channel_storage()
    walk = ContainerWalk()
    items = _cast_all("ast_channel", storage.pointers(walk))
    return format_table("Channels", CHANNEL_COLUMNS, items, walk, storage.count())


def totals() -> str:
    """Return the numbers of channels and calls, in the words of `core show channels`."""
    active = _counter("countcalls", "ast_active_calls")
    processed = _counter("totalcalls", "ast_processed_calls")
    lines = [_channel_totals()]
    if active is None or processed is None:
        lines.append("Calls: unknown: neither the counters nor their getters can be read")
    else:
        lines += [f"{active} active calls", f"{processed} calls processed"]
    return "".join(f"{line}\n" for line in lines)


def _counter(variable: str, getter: str) -> int | None:
    by_symbol = evaluate(f"*(int *) &{variable}")
    return returned_number(getter) if by_symbol is None else by_symbol


def _channel_totals() -> str:
    try:
        storage = _channel_storage()
        return f"Channel storage: {storage.name}\n{storage.count()} active channels"
    except Missing as error:
        return f"Active channels: unknown: {error}"


class _Container:
    """Channels in an ao2 container: a variable in older versions, the storage driver ao2_legacy in newer ones."""

    def __init__(self, name: str, container: gdb.Value) -> None:
        self.name = name
        self._container = _require_non_null(container)
        container_kind(container)

    def pointers(self, walk: ContainerWalk) -> Iterator[gdb.Value]:
        return walk.container_objects(self._container)

    def count(self) -> int:
        return int(self._container["elements"])


class _Map:
    """Channels in a std::map by name, of the storage driver cpp_map_name_id."""

    name = MAP_DRIVER

    def __init__(self, handle: gdb.Value) -> None:
        private = handle.cast(lookup_struct("mni_channelstorage_driver_pvt").pointer())
        self._by_name = member(private, "by_name")

    def pointers(self, walk: ContainerWalk) -> Iterator[gdb.Value]:
        return walk.map_values(self._by_name)

    def count(self) -> int:
        return int(member(self._by_name, "_M_t._M_impl._M_node_count"))


def _channel_storage() -> _Container | _Map:
    """Return where this Asterisk keeps its channels. Raise Missing."""
    try:
        instance = _require_non_null(lookup_variable("current_channel_storage_instance", "channel.c"))
    except NoDebugInformation:
        return _Container("ao2 container", lookup_variable("channels", "channel.c"))
    name = as_text(member(lookup_variable("current_channel_storage_driver", "channel.c"), "driver_name"))
    if name == MAP_DRIVER:
        return _Map(member(instance, "handle"))
    if name == "ao2_legacy":
        return _Container(name, member(instance, "handle.handle"))
    raise Missing(f"astbtd does not support the channel storage driver {name!r}")


def _require_non_null(pointer: gdb.Value) -> gdb.Value:
    if not int(pointer):
        raise Missing("Asterisk had not created it yet, or had destroyed it")
    return pointer


def _cast_all(kind: str, pointers: Iterator[gdb.Value]) -> Iterator[gdb.Value]:
    pointer = lookup_struct(kind).pointer()
    return (each.cast(pointer) for each in pointers)
