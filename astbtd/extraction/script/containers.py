"""Walks Asterisk's containers in memory that may be corrupt: no node twice, not too many, not for too long.

Time is the CPU's: gdb runs at idle priority, and a busy PBX may not let it run for a while.

The layouts are those of Asterisk's main/astobj2_hash.c, main/astobj2_rbtree.c and libstdc++'s stl_tree.h.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from enum import Enum

import gdb

from astbtd.extraction.script.core_values import NotThere, member, number, structure
from astbtd.extraction.script.job import JOB

MOST_NODES = 20_000
MOST_BUCKETS = 1 << 16
MOST_REMARKS = 5


class Kind(Enum):
    """The kinds of ao2 container; the value is the variable with the methods of its kind."""

    HASH = "v_table_hash"
    TREE = "v_table_rbtree"


def kind_of(container: gdb.Value) -> Kind:
    """What kind of container it is, by its methods. Raises NotThere where it is none."""
    methods = int(container["v_table"])
    for kind in Kind:
        if number(f"(long) &{kind.value}") == methods:
            return kind
    raise NotThere(f"what should be a container has unknown methods, at {methods:#x}")


class ContainerWalk:
    """One walk; `remarks` say where it met corruption or was given up."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self._seen: set[int] = set()
        self._until = time.process_time() + JOB["part_seconds"]
        self._given_up = False

    def container(self, container: gdb.Value) -> Iterator[gdb.Value]:
        """The objects in an ao2 container, as untyped pointers. Raises NotThere."""
        if kind_of(container) is Kind.HASH:
            nodes = self._hash(container.cast(structure("ao2_container_hash").pointer()))
        else:
            tree = container.cast(structure("ao2_container_rbtree").pointer())
            nodes = self._tree(tree["root"], "left", "right", container)
        for node in nodes:
            if int(node["common"]["obj"]):
                yield node["common"]["obj"]

    def map(self, values: gdb.Value) -> Iterator[gdb.Value]:
        """The values in a std::map, which are pointers, as untyped pointers."""
        pointer = gdb.lookup_type("void").pointer()
        key = values.type.strip_typedefs().template_argument(0)
        root = member(values, "_M_t._M_impl._M_header._M_parent")
        for node in self._tree(root, "_M_left", "_M_right"):
            place = int(node) + node.dereference().type.sizeof + key.sizeof
            yield gdb.Value(place).cast(pointer.pointer()).dereference()

    def chain(self, first: gdb.Value, following: str, owner: gdb.Value | None = None) -> Iterator[gdb.Value]:
        """The nodes of a linked list; `following` is the path to the next one, `owner` the container they are of."""
        node = first
        while self._may_visit(node):
            links = self._links(node, (following,), owner)
            if links is None:
                return
            yield node
            (node,) = links

    def remark(self, text: str) -> None:
        """Notes what is wrong."""
        if len(self.remarks) == MOST_REMARKS:
            text = "and more of that kind"
        if len(self.remarks) <= MOST_REMARKS:
            self.remarks.append(text)

    def _hash(self, container: gdb.Value) -> Iterator[gdb.Value]:
        count = int(container["n_buckets"])
        if not 0 <= count <= MOST_BUCKETS:
            self.remark(f"it claims to have {count} buckets, of which no more than {MOST_BUCKETS} are looked into")
        for index in range(max(0, min(count, MOST_BUCKETS))):
            try:
                first = container["buckets"][index]["list"]["first"]
                first.fetch_lazy()
            except gdb.MemoryError:
                self.remark(f"its buckets end at number {index}, in memory that is not there")
                return
            yield from self.chain(first, "links.first", container)
            if self._out_of_time():
                return

    def _tree(self, root: gdb.Value, left: str, right: str, owner: gdb.Value | None = None) -> Iterator[gdb.Value]:
        waiting = [root]
        while waiting:
            node = waiting.pop()
            children = self._links(node, (right, left), owner) if self._may_visit(node) else None
            if children is not None:
                yield node
                waiting += children

    def _links(self, node: gdb.Value, paths: Sequence[str], owner: gdb.Value | None) -> list[gdb.Value] | None:
        """The pointers of a node to others; None if it is no node of the container's at all."""
        try:
            links = [member(node, path) for path in paths]
            for link in links:
                link.fetch_lazy()
            if owner is None or int(node["common"]["my_container"]) == int(owner):
                return links
            self.remark(f"what a link leads to is no node of it, at {int(node):#x}")
        except gdb.MemoryError:
            self.remark(f"a link leads to memory that is not there, at {int(node):#x}")
        return None

    def _may_visit(self, node: gdb.Value) -> bool:
        address = int(node)
        if not address or self._out_of_time():
            return False
        if address in self._seen:
            self.remark(f"a node comes up twice, at {address:#x}: its links are corrupt")
            return False
        self._seen.add(address)
        return True

    def _out_of_time(self) -> bool:
        if self._given_up:
            return True
        if len(self._seen) >= MOST_NODES:
            self.remark(f"given up after {MOST_NODES} nodes")
        elif time.process_time() >= self._until:
            self.remark(f"given up after {JOB['part_seconds']:g} s of work")
        else:
            return False
        self._given_up = True
        return True
