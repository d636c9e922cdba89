"""Adds entries to the journal of a container with fields that only journald and the kernel can set.

A container gets no messages of the kernel. systemd-journal-remote writes them into a journal file as it would write
those of another machine.
"""

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from tests.support.containers.container import Container
from tests.support.harness import scratch_directory

_JOURNAL_REMOTE = "/lib/systemd/systemd-journal-remote"


def add_kernel_message(container: Container, message: str) -> None:
    """Add a line of the kernel to the journal of a container, as of now."""
    boot_id = container.run("cat", "/proc/sys/kernel/random/boot_id").stdout.strip().replace("-", "")
    add_entry(container, {"_BOOT_ID": boot_id, "_TRANSPORT": "kernel", "PRIORITY": "6", "MESSAGE": message})


def add_entry(container: Container, fields: Mapping[str, str]) -> None:
    """Add an entry as of now to the journal of a container, in a file of its own."""
    machine_id = container.run("cat", "/etc/machine-id").stdout.strip()
    now = time.time_ns() // 1000
    times = {"__REALTIME_TIMESTAMP": str(now), "__MONOTONIC_TIMESTAMP": str(time.monotonic_ns() // 1000)}
    entry = "".join(f"{name}={value}\n" for name, value in {**times, **fields, "_MACHINE_ID": machine_id}.items())
    with scratch_directory() as directory:
        file = directory / "entries.journal"
        _write_journal(file, entry)
        container.copy_in(file, f"/var/log/journal/{machine_id}/entries-{now}.journal")


def _write_journal(file: Path, entry: str) -> None:
    """Write entries in journald's export format into a journal file. An empty line ends an entry."""
    command = [_JOURNAL_REMOTE, f"--output={file}", "--split-mode=none", "-"]
    subprocess.run(command, input=f"{entry}\n", text=True, check=True, capture_output=True)
