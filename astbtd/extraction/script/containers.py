"""Walk Asterisk's containers in memory that may be corrupt: visit each node once, and limit nodes and time.

The time limit is CPU time: gdb runs at idle priority, and a busy PBX may delay it for a while.

The layouts are those of Asterisk's main/astobj2_hash.c, main/astobj2_rbtree.c and libstdc++'s stl_tree.h.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from enum import Enum

import gdb

from astbtd.extraction.script.core_values import Missing, evaluate, lookup_struct, member, readable_memory
from astbtd.extraction.script.job import JOB

MAX_NODES = 20_000
MAX_BUCKETS = 1 << 16
MAX_REMARKS = 5


class ContainerKind(Enum):
    """The kinds of ao2 container; the value is the variable with the methods of that kind."""

    HASH = "v_table_hash"
    TREE = "v_table_rbtree"


def container_kind(container: gdb.Value) -> ContainerKind:
    """Return the kind of a container, by its methods. Raise Missing if it is not a container."""
    methods = int(container["v_table"])
    for kind in ContainerKind:
        if evaluate(f"(long) &{kind.value}") == methods:
            return kind
    raise Missing(f"not a container: unknown methods at {methods:#x}")


class ContainerWalk:
    """One walk with its limits; `remarks` say where memory is corrupt or the walk was stopped."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self._visited: set[int] = set()
        self._deadline = time.process_time() + JOB["table_seconds"]
        self._stopped = False

    def container_objects(self, container: gdb.Value) -> Iterator[gdb.Value]:
        """Yield the objects in an ao2 container as untyped pointers. Raise Missing."""
        if container_kind(container) is ContainerKind.HASH:
            nodes = self._hash_nodes(container.cast(lookup_struct("ao2_container_hash").pointer()))
        else:
            tree = container.cast(lookup_struct("ao2_container_rbtree").pointer())
            nodes = self._tree_nodes(tree["root"], "left", "right", container)
        for node in nodes:
            if int(node["common"]["obj"]):
                yield node["common"]["obj"]

    def map_values(self, std_map: gdb.Value) -> Iterator[gdb.Value]:
        """Yield the values of a std::map, which are pointers, as untyped pointers."""
        pointer = gdb.lookup_type("void").pointer()
        key = std_map.type.strip_typedefs().template_argument(0)
        root = member(std_map, "_M_t._M_impl._M_header._M_parent")
        for node in self._tree_nodes(root, "_M_left", "_M_right"):
            value_address = int(node) + node.dereference().type.sizeof + key.sizeof
            yield gdb.Value(value_address).cast(pointer.pointer()).dereference()

    def list_nodes(self, first: gdb.Value, next_path: str, owner: gdb.Value | None = None) -> Iterator[gdb.Value]:
        """Yield the nodes of a linked list; `owner` is the container that the nodes must belong to."""
        node = first
        while self._may_visit(node):
            links = self._read_links(node, (next_path,), owner)
            if links is None:
                return
            yield node
            (node,) = links

    def add_remark(self, text: str) -> None:
        """Add a remark, up to a limit."""
        if len(self.remarks) == MAX_REMARKS:
            text = "more remarks are omitted"
        if len(self.remarks) <= MAX_REMARKS:
            self.remarks.append(text)

    def _hash_nodes(self, container: gdb.Value) -> Iterator[gdb.Value]:
        count = int(container["n_buckets"])
        if not 0 <= count <= MAX_BUCKETS:
            self.add_remark(f"invalid number of buckets, {count}: at most {MAX_BUCKETS} are read")
        for first in self._first_nodes(container["buckets"], max(0, min(count, MAX_BUCKETS))):
            yield from self.list_nodes(first, "links.first", container)
            if self._is_over_limit():
                return

    def _first_nodes(self, buckets: gdb.Value, count: int) -> Iterator[gdb.Value]:
        """Yield the first node of each of `count` buckets that has one.

        Most have none. All are read at once: gdb takes 20 us to read one value.
        """
        bucket = buckets[0]
        first = bucket["list"]["first"]
        start, size = int(bucket.address), bucket.type.sizeof
        offset, width = int(first.address) - start, first.type.sizeof
        memory = readable_memory(start, count * size)
        for index in range(count):
            word = memory[index * size + offset :][:width]
            if len(word) < width:
                self.add_remark(f"bucket {index} and those after it are in unreadable memory")
                return
            if any(word):
                yield gdb.Value(int.from_bytes(word, "little")).cast(first.type)

    def _tree_nodes(
        self, root: gdb.Value, left: str, right: str, owner: gdb.Value | None = None
    ) -> Iterator[gdb.Value]:
        pending = [root]
        while pending:
            node = pending.pop()
            if not self._may_visit(node):
                continue
            children = self._read_links(node, (right, left), owner)
            if children is not None:
                yield node
                pending += children

    def _read_links(self, node: gdb.Value, paths: Sequence[str], owner: gdb.Value | None) -> list[gdb.Value] | None:
        """Return the pointers of a node to other nodes; None if it is not a node of the container."""
        try:
            links = [member(node, path) for path in paths]
            for link in links:
                link.fetch_lazy()
            if owner is None or int(node["common"]["my_container"]) == int(owner):
                return links
            self.add_remark(f"a link points to something that is not a node of it, at {int(node):#x}")
        except gdb.MemoryError:
            self.add_remark(f"a link points to unreadable memory, at {int(node):#x}")
        return None

    def _may_visit(self, node: gdb.Value) -> bool:
        address = int(node)
        if not address or self._is_over_limit():
            return False
        if address in self._visited:
            self.add_remark(f"a node occurs twice, at {address:#x}: its links are corrupt")
            return False
        self._visited.add(address)
        return True

    def _is_over_limit(self) -> bool:
        if self._stopped:
            return True
        if len(self._visited) >= MAX_NODES:
            self.add_remark(f"stopped after {MAX_NODES} nodes")
            self._stopped = True
        elif time.process_time() >= self._deadline:
            self.add_remark(f"stopped after {JOB['table_seconds']:g} s of CPU time")
            self._stopped = True
        return self._stopped
