"""astbtd as its users have it: installed in a container from this checkout, run by systemd under its sandbox."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.containers.container import Container, wait_until
from tests.support.containers.image import STAMP

UNIT = "astbtd.service"
STORE = "/var/lib/astbtd"
CONFIGURATION = "/etc/astbtd.yaml"

HIGHEST_EXPOSURE = 2.5
"""What `systemd-analyze security` says; a line of the unit that is loosened shows here."""

_GO = "/srv/go"
_HESITATES = "waits for the word"
HESITANT = f"""#!/bin/sh
[ -e {_GO} ] && exec gdb "$@"
echo {_HESITATES}
exec sleep infinity
"""
"""A gdb that does nothing until it is killed, unless it was told to go on."""

_CHECKOUT = Path(__file__).resolve().parents[3]
_INSTALLED_FROM = ("Makefile", "astbtd", "etc", "man", "packaging")
_SOURCES = "/usr/src/astbtd"

Record = dict[str, Any]
"""A crash.json, as any program would read it."""


@dataclass(frozen=True)
class Service:
    """The astbtd.service of a container."""

    container: Container

    def install(self, *variables: str) -> None:
        """`make install`, as after a clone."""
        for name in _INSTALLED_FROM:
            self.container.copy_in(_CHECKOUT / name, f"{_SOURCES}/{name}")
        self.make("install", *variables)

    def uninstall(self, *variables: str) -> None:
        """`make uninstall`."""
        self.make("uninstall", *variables)

    def make(self, target: str, *variables: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`make` in the checkout that it was installed from."""
        return self.container.run("make", f"--directory={_SOURCES}", target, *variables, check=check)

    def installed(self) -> list[str]:
        """The files, links and directories that bear its name; not the store, the checkout and the image's stamp."""
        elsewhere = ("/proc", "/sys", "/run", "/var", _SOURCES, f"/{STAMP}")
        skipped = [word for path in elsewhere for word in ("-path", path, "-prune", "-o")]
        found = self.container.run("find", "/", *skipped, "-name", "astbtd*", "-print", "-prune").stdout
        return sorted(found.splitlines())

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

    def complaints(self) -> str:
        """What systemd has to say against the unit; it has no manual page to look for in an image without man."""
        verified = self.container.run("systemd-analyze", "verify", "--man=no", UNIT)
        return verified.stdout + verified.stderr

    def replace_gdb(self, script: str) -> None:
        """Has the daemon run a script in place of gdb."""
        program = "/usr/local/bin/not-gdb"
        self.container.write(program, script, mode=0o755)
        self.configure(f"gdb: {{program: {program}}}\n")
        self.reload()

    def wait_for_gdb_to_hesitate(self) -> None:
        """Returns when a HESITANT gdb was started; the next one goes on."""
        logs = ("grep", "-rls", _HESITATES, f"{STORE}/incoming")
        wait_until(lambda: bool(self.container.run(*logs, check=False).stdout), "gdb is started")
        self.container.run("touch", _GO)

    def left_in(self, directory: str) -> str:
        """The names of cores and claims in a directory of Asterisk's."""
        return self.container.run("find", directory, "-name", "core*", "-o", "-name", ".astbtd.*").stdout

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
