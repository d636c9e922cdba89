"""What the PBX was doing: its taskprocessors, bridges and channels, and how many calls there were.

All of it lies in the executable's own variables and types: no module's symbols are needed. What differs between
Asterisk 16 and 22 is looked for by its name.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import gdb

from astbtd.extraction.script.containers import ContainerWalk, kind_of
from astbtd.extraction.script.core_values import (
    NoDebugInformation,
    NotThere,
    as_text,
    member,
    number,
    structure,
    variable,
)
from astbtd.extraction.script.getter_values import number_returned_by
from astbtd.extraction.script.text_table import Column, as_moment, as_name, as_number, table

TASKPROCESSOR = (
    Column("Processor", as_text, "name"),
    Column("Processed", as_number, "stats._tasks_processed_count"),
    Column("In Queue", as_number, "tps_queue_size"),
    Column("Max Depth", as_number, "stats.max_qsize"),
    Column("Low water", as_number, "tps_queue_low"),
    Column("High water", as_number, "tps_queue_high"),
)
BRIDGE = (
    Column("Bridge-ID", as_text, "uniqueid"),
    Column("Name", as_text, "name"),
    Column("Creator", as_text, "creator"),
    Column("Chans", as_number, "num_channels"),
    Column("Type", as_text, "v_table.name"),
    Column("Technology", as_text, "technology.name"),
    Column("Created", as_moment, "creationtime"),
)
CHANNEL = (
    Column("Channel", as_text, "name"),
    Column("Unique ID", as_text, "uniqueid.unique_id", "uniqueid"),
    Column("Context", as_text, "context"),
    Column("Extension", as_text, "exten"),
    Column("Priority", as_number, "priority"),
    Column("State", as_name, "state"),
    Column("Application", as_text, "appl"),
    Column("Data", as_text, "data"),
    Column("Caller ID", as_text, "caller.id.number.str"),
    Column("Caller name", as_text, "caller.id.name.str"),
    Column("Created", as_moment, "creationtime"),
    Column("Accountcode", as_text, "accountcode"),
    Column("PeerAccount", as_text, "peeraccount"),
    Column("Bridge-ID", as_text, "bridge.uniqueid"),
)
MAP_DRIVER = "cpp_map_name_id"


def taskprocessors() -> str:
    """The table of taskprocessors."""
    return _contents(
        "Taskprocessors", TASKPROCESSOR, variable("tps_singletons", "taskprocessor.c"), "ast_taskprocessor"
    )


def bridges() -> str:
    """The table of bridges."""
    return _contents("Bridges", BRIDGE, variable("bridges", "bridge.c"), "ast_bridge")


def _contents(title: str, columns: Sequence[Column], container: gdb.Value, kind: str) -> str:
    storage = _Container("", container)
    walk = ContainerWalk()
    return table(title, columns, _as(kind, storage.pointers(walk)), walk, storage.count())


def channels() -> str:
    """The table of channels."""
    storage = _storage()
    walk = ContainerWalk()
    return table("Channels", CHANNEL, _as("ast_channel", storage.pointers(walk)), walk, storage.count())


def totals() -> str:
    """How many channels and calls there were, as `core show channels` says it."""
    calls = number("*(int *) &countcalls"), number("*(int *) &totalcalls")
    active, processed = (
        value if value is not None else number_returned_by(getter)
        for value, getter in zip(calls, ("ast_active_calls", "ast_processed_calls"))
    )
    lines = [_channel_totals()]
    if active is None or processed is None:
        lines.append("Calls: not known: neither the counters nor their getters can be read")
    else:
        lines += [f"{active} active calls", f"{processed} calls processed"]
    return "".join(f"{line}\n" for line in lines)


def _channel_totals() -> str:
    try:
        storage = _storage()
        return f"Channel storage: {storage.name}\n{storage.count()} active channels"
    except NotThere as error:
        return f"Active channels: not known: {error}"


class _Container:
    """Channels in an ao2 container: a variable of its own in older versions, the storage ao2_legacy's in newer ones."""

    def __init__(self, name: str, container: gdb.Value) -> None:
        self.name = name
        self._container = _set_up(container)
        kind_of(container)

    def pointers(self, walk: ContainerWalk) -> Iterator[gdb.Value]:
        return walk.container(self._container)

    def count(self) -> int:
        return int(self._container["elements"])


class _Map:
    """Channels in a std::map by name, the storage cpp_map_name_id's."""

    name = MAP_DRIVER

    def __init__(self, handle: gdb.Value) -> None:
        private = handle.cast(structure("mni_channelstorage_driver_pvt").pointer())
        self._by_name = member(private, "by_name")

    def pointers(self, walk: ContainerWalk) -> Iterator[gdb.Value]:
        return walk.map(self._by_name)

    def count(self) -> int:
        return int(member(self._by_name, "_M_t._M_impl._M_node_count"))


def _storage() -> _Container | _Map:
    """Where this Asterisk keeps its channels. Raises NotThere."""
    try:
        instance = _set_up(variable("current_channel_storage_instance", "channel.c"))
    except NoDebugInformation:
        return _Container("a container of its own", variable("channels", "channel.c"))
    name = as_text(member(variable("current_channel_storage_driver", "channel.c"), "driver_name"))
    if name == MAP_DRIVER:
        return _Map(member(instance, "handle"))
    if name == "ao2_legacy":
        return _Container(name, member(instance, "handle.handle"))
    raise NotThere(f"astbtd does not know how channels are stored by {name!r}")


def _set_up(pointer: gdb.Value) -> gdb.Value:
    if not int(pointer):
        raise NotThere("Asterisk had not set it up yet, or had taken it down")
    return pointer


def _as(kind: str, pointers: Iterator[gdb.Value]) -> Iterator[gdb.Value]:
    pointer = structure(kind).pointer()
    return (each.cast(pointer) for each in pointers)
