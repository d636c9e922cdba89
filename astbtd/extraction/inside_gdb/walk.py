"""Walks Asterisk's containers in memory that may be corrupt: no node twice, not too many, not for too long.

The layouts are those of Asterisk's main/astobj2_hash.c, main/astobj2_rbtree.c and libstdc++'s stl_tree.h.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import gdb

from astbtd.extraction.inside_gdb.job import JOB
from astbtd.extraction.inside_gdb.memory import NotThere, member, number, structure

MOST_NODES = 20_000
MOST_BUCKETS = 1 << 16
MOST_REMARKS = 5


class Walk:
    """One walk; `remarks` say where it met corruption or was given up."""

    def __init__(self) -> None:
        self.remarks: list[str] = []
        self._seen: set[int] = set()
        self._until = time.monotonic() + JOB["part_seconds"]
        self._given_up = False

    def container(self, container: gdb.Value) -> Iterator[gdb.Value]:
        """The objects in an ao2 container, as untyped pointers; its methods tell what kind it is."""
        methods = int(container["v_table"])
        if methods == number("(long) &v_table_hash"):
            nodes = self._hash(container.cast(structure("ao2_container_hash").pointer()))
        elif methods == number("(long) &v_table_rbtree"):
            tree = container.cast(structure("ao2_container_rbtree").pointer())
            nodes = self._tree(tree["root"], "left", "right")
        else:
            raise NotThere(f"what should be a container has unknown methods, at {methods:#x}")
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

    def chain(self, first: gdb.Value, following: str) -> Iterator[gdb.Value]:
        """The nodes of a linked list; `following` is the path to the next one."""
        node = first
        while self._may_visit(node):
            try:
                after = member(node, following)
                after.fetch_lazy()
            except gdb.MemoryError:
                self._leads_nowhere(node)
                return
            yield node
            node = after

    def remark(self, text: str) -> None:
        """Notes what is wrong."""
        if len(self.remarks) == MOST_REMARKS:
            text = "and more of that kind"
        if len(self.remarks) <= MOST_REMARKS:
            self.remarks.append(text)

    def _hash(self, container: gdb.Value) -> Iterator[gdb.Value]:
        count = int(container["n_buckets"])
        if not 0 <= count <= MOST_BUCKETS:
            self.remark(f"it claims to have {count} buckets")
        for index in range(max(0, min(count, MOST_BUCKETS))):
            try:
                first = container["buckets"][index]["list"]["first"]
                first.fetch_lazy()
            except gdb.MemoryError:
                self.remark(f"its buckets end at number {index}, in memory that is not there")
                return
            yield from self.chain(first, "links.first")
            if self._out_of_time():
                return

    def _tree(self, root: gdb.Value, left: str, right: str) -> Iterator[gdb.Value]:
        waiting = [root]
        while waiting:
            node = waiting.pop()
            if not self._may_visit(node):
                continue
            try:
                children = (node[right], node[left])
                for child in children:
                    child.fetch_lazy()
            except gdb.MemoryError:
                self._leads_nowhere(node)
                continue
            yield node
            waiting += children

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
            self.remark(f"given up after {MOST_NODES} of them")
        elif time.monotonic() >= self._until:
            self.remark(f"given up after {JOB['part_seconds']:g} s")
        else:
            return False
        self._given_up = True
        return True

    def _leads_nowhere(self, node: gdb.Value) -> None:
        self.remark(f"a pointer leads to memory that is not there, at {int(node):#x}")
