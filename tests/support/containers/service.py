"""astbtd installed from this checkout in a container, and run by systemd in its sandbox."""

import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.containers.container import WAIT_SECONDS, Container, wait_until
from tests.support.containers.image import STAMP

UNIT = "astbtd.service"
STORE = "/var/lib/astbtd"
CONFIGURATION = "/etc/astbtd.yaml"

HIGHEST_EXPOSURES = {
    "astbtd.service": 2.4,
    "astbtd-deadlock.service": 2.6,  # it may trace processes and set its priority
    "astbtd-symbols.service": 1.6,  # it has no capability, but network access
    "astbtd-metrics.service": 1.3,
}
"""The exposure of each unit that `systemd-analyze security` may report. It rises if a restriction is removed."""

_RELEASE = "/srv/release-gdb"
_WAITING = "gdb waits for the test"
WAITING_GDB = f"""#!/bin/sh
[ -e {_RELEASE} ] && exec gdb "$@"
echo {_WAITING}
exec sleep infinity
"""
"""A gdb that does nothing until it is killed, unless the test has released it."""

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
        """Return all files named astbtd*, except the store, the checkout and the stamp of the image."""
        elsewhere = ("/proc", "/sys", "/run", "/var", _SOURCES, f"/{STAMP}")
        skipped = [word for path in elsewhere for word in ("-path", path, "-prune", "-o")]
        found = self.container.run("find", "/", *skipped, "-name", "astbtd*", "-print", "-prune").stdout
        return sorted(found.splitlines())

    def configure(self, text: str) -> None:
        """Replace the configuration. It takes effect at the next `reload`."""
        self.container.write(CONFIGURATION, text)

    def start(self) -> None:
        """Start the service and wait until it is ready."""
        self.container.run("systemctl", "start", UNIT)

    def reload(self) -> None:
        """Let the service read its configuration, and wait until it has."""
        entries = len(self.entries())
        self.container.run("systemctl", "reload", UNIT)
        wait_until(lambda: len(self.entries()) > entries, "a message about the reload")

    def command(self, *arguments: str) -> str:
        """Run `astbtd` and return what it prints."""
        return self.container.run("astbtd", *arguments).stdout

    def listed(self) -> list[Record]:
        """Return all crashes as `astbtd list` prints them."""
        return list(json.loads(self.command("list", "--json")))

    def collected(self, pid: int, seconds: float = WAIT_SECONDS) -> Record:
        """Wait until the crash of a process is completely processed, and return its record."""
        wait_until(lambda: self._is_settled(pid), f"the crash of process {pid} is collected", seconds=seconds)
        record = self._record(pid)
        assert record is not None
        return record

    def entries(self, **fields: str) -> list[dict[str, str]]:
        """Return the journal entries of astbtd with these fields, oldest first."""
        self.container.run("journalctl", "--sync")
        matches = [f"{name}={value}" for name, value in fields.items()]
        lines = self.container.run("journalctl", "-t", "astbtd", "-o", "json", "--all", *matches).stdout.splitlines()
        return [json.loads(line) for line in lines]

    def status(self) -> str:
        """Return the output of `systemctl status`, also if the service does not run."""
        return self.container.run("systemctl", "status", UNIT, check=False).stdout

    def property(self, name: str) -> str:
        """Return a property of the unit."""
        return self.container.run("systemctl", "show", f"--property={name}", "--value", UNIT).stdout.strip()

    def unit_warnings(self) -> str:
        """Return the warnings of `systemd-analyze verify` about the unit. The images have no manual pages."""
        verified = self.container.run("systemd-analyze", "verify", "--man=no", UNIT)
        return verified.stdout + verified.stderr

    def replace_gdb(self, script: str) -> None:
        """Let the daemon run a script in the place of gdb."""
        program = "/usr/local/bin/not-gdb"
        self.container.write(program, script, mode=0o755)
        self.configure(f"gdb: {{program: {program}}}\n")
        self.reload()

    def wait_for_waiting_gdb(self) -> None:
        """Wait until a WAITING_GDB has started, and release the next one."""
        logs = ("grep", "-rls", _WAITING, f"{STORE}/incoming")
        wait_until(lambda: bool(self.container.run(*logs, check=False).stdout), "gdb is started")
        self.container.run("touch", _RELEASE)

    def left_in(self, directory: str) -> str:
        """Return the names of cores and claims in a directory of Asterisk."""
        return self.container.run("find", directory, "-name", "core*", "-o", "-name", ".astbtd.*").stdout

    def exposure(self, unit: str) -> float:
        """Return the exposure of a unit as systemd rates it, from 0 to 10."""
        rating = self.container.run("systemd-analyze", "security", "--no-pager", unit).stdout.splitlines()[-1]
        return float(re.findall(r"[0-9.]+", rating)[-1])

    def _is_settled(self, pid: int) -> bool:
        record = self._record(pid)
        return record is not None and record["core"]["state"] != "claimed" and not self._has_claims()

    def _record(self, pid: int) -> Record | None:
        """Read the record with `cat`: this is called often, and astbtd would take longer to start."""
        read = self.container.run("sh", "-c", f"cat {STORE}/crashes/*-{pid}-*/crash.json", check=False)
        return None if read.returncode else json.loads(read.stdout)

    def _has_claims(self) -> bool:
        return bool(self.container.run("find", f"{STORE}/incoming", "-name", "*.claim").stdout)
