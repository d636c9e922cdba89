"""Spares gdb a third of its start: those modules of its own that only make commands and functions for people.

Python runs this as `sitecustomize`, before gdb imports them.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType

FOR_PEOPLE = ("gdb.command.", "gdb.function.", "gdb.printer.")  # where auto_load_packages in gdb/__init__.py looks


class Nothing:
    """Finds a module with nothing in it for each of those."""

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """What Python asks first for a module; None where others are to be asked."""
        ours = name.startswith(FOR_PEOPLE)
        return ModuleSpec(name, self) if ours else None  # type: ignore[arg-type] # importlib.abc takes long to load

    def create_module(self, _: ModuleSpec) -> None:
        """An ordinary module will do."""

    def exec_module(self, _: ModuleType) -> None:
        """It is to stay empty."""


sys.meta_path.insert(0, Nothing())
