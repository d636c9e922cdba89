"""astbtd as its users have it: installed in a container from this checkout, run by systemd under its sandbox."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .container import Container, wait_until

UNIT = "astbtd.service"
STORE = "/var/lib/astbtd"
CONFIGURATION = "/etc/astbtd.yaml"

_CHECKOUT = Path(__file__).resolve().parents[2]
_INSTALLED_FROM = ("Makefile", "astbtd", "etc", "man", "packaging")
_SOURCES = "/usr/src/astbtd"

Record = dict[str, Any]
"""A crash.json, as any program would read it."""


@dataclass(frozen=True)
class Service:
    """The astbtd.service of a container."""

    container: Container

    def install(self) -> None:
        """`make install`, as after a clone."""
        for name in _INSTALLED_FROM:
            self.container.copy_in(_CHECKOUT / name, f"{_SOURCES}/{name}")
        self.container.run("make", f"--directory={_SOURCES}", "install")

    def uninstall(self) -> None:
        """`make uninstall`."""
        self.container.run("make", f"--directory={_SOURCES}", "uninstall")

    def configure(self, text: str) -> None:
        """Replaces the configuration; it is for the caller to have it read."""
        self.container.write(CONFIGURATION, text)

    def start(self) -> None:
        """Starts it, and returns when it says that it is ready."""
        self.container.run("systemctl", "start", UNIT)

    def reload(self) -> None:
        """Has it read its configuration, and returns when it has."""
        answers = len(self.entries())
        self.container.run("systemctl", "reload", UNIT)
        wait_until(lambda: len(self.entries()) > answers, "an answer to the reload")

    def command(self, *arguments: str) -> str:
        """What `astbtd` prints."""
        return self.container.run("astbtd", *arguments).stdout

    def listed(self) -> list[Record]:
        """All crashes, as `astbtd list` has them."""
        return list(json.loads(self.command("list", "--json")))

    def collected(self, pid: int) -> Record:
        """The record of the crash of that process, once all is done that is done for a crash."""
        wait_until(lambda: self._is_settled(pid), f"the crash of process {pid} is collected", seconds=60)
        record = self._record(pid)
        assert record is not None
        return record

    def entries(self, **fields: str) -> list[dict[str, str]]:
        """Its entries in the journal with these fields, oldest first."""
        self.container.run("journalctl", "--sync")
        matches = [f"{name}={value}" for name, value in fields.items()]
        lines = self.container.run("journalctl", "-t", "astbtd", "-o", "json", "--all", *matches).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def status(self) -> str:
        """What `systemctl status` shows, whether or not it runs."""
        return self.container.run("systemctl", "status", UNIT, check=False).stdout

    def property(self, name: str) -> str:
        """A property of the unit."""
        return self.container.run("systemctl", "show", f"--property={name}", "--value", UNIT).stdout.strip()

    def exposure(self) -> float:
        """How much its sandbox leaves open, from 0 to 10, as systemd rates it."""
        rating = self.container.run("systemd-analyze", "security", "--no-pager", UNIT).stdout.splitlines()[-1]
        return float(re.findall(r"[0-9.]+", rating)[-1])

    def _is_settled(self, pid: int) -> bool:
        record = self._record(pid)
        return record is not None and record["core"]["state"] != "claimed" and not self._has_claims()

    def _record(self, pid: int) -> Record | None:
        """Read without starting any program of ours, since this is asked often."""
        read = self.container.run("sh", "-c", f"cat {STORE}/crashes/*-{pid}-*/crash.json", check=False)
        return None if read.returncode else json.loads(read.stdout)

    def _has_claims(self) -> bool:
        return bool(self.container.run("find", f"{STORE}/incoming", "-name", "*.claim").stdout)
