"""Register layouts of the supported machines."""

import os
import struct
from types import SimpleNamespace

import pytest

from astbtd.elf.registers import layout_for_machine, native_layout
from astbtd.errors import AstbtdError


@pytest.mark.parametrize(("elf_machine", "size"), [(62, 27 * 8), (183, 34 * 8)])
def test_a_register_is_read_by_its_index(elf_machine: int, size: int) -> None:
    layout = layout_for_machine(elf_machine)

    assert layout is not None
    assert layout.size == size
    general = struct.pack(f"<{size // 8}Q", *range(size // 8))
    assert layout.register(general, layout.stack_pointer) == layout.stack_pointer


def test_an_unsupported_machine_has_no_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: SimpleNamespace(machine="riscv64"))

    assert layout_for_machine(243) is None
    with pytest.raises(AstbtdError, match="x86_64 and aarch64 only, and this is riscv64"):
        native_layout()
