"""An Asterisk built from source, run by safe_asterisk as user asterisk in /tmp, as FreePBX does."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.containers.asterisk_builds import Build
from tests.support.containers.container import Container, wait_until
from tests.support.containers.image import BOOKWORM
from tests.support.containers.service import Service

SCENE_MODULE = Path(__file__).parent / "scene_module"
MODULE = "res_astbtd_scenes"
CORE_DIRECTORY = "/tmp"
_SOURCES = "/usr/src/scene_module"
_UNIT = "pbx.service"
# A container may not raise the limit on open files, which safe_asterisk otherwise does.
_SERVICE = """[Unit]
StartLimitIntervalSec=0
[Service]
Type=forking
Environment=MAXFILES=1024
LimitCORE=infinity
WorkingDirectory=/tmp
ExecStart=/usr/sbin/safe_asterisk -g -U asterisk -G asterisk
"""
_PROGRAM = "/usr/sbin/asterisk"
_ORIGINAL = "/usr/sbin/asterisk-original"
_LOG = "/tmp/scenes.log"
_SOCKET = "/var/run/asterisk/asterisk.ctl"

_SECONDS = 120
_GDB_SECONDS = 700  # more than two runs of gdb may take (gdb.time); on a busy machine they do
_CONTEXT = "scenes"
_BUSY = f"""#!/bin/sh
# The pause leaves time for gdb, which runs only when nothing else does.
say() {{ timeout 20 asterisk -rx "$1" > /dev/null; sleep 0.2; }}
while :; do
    for call in 1 2 3 4 5 6 7 8; do
        say "channel originate Local/s@{_CONTEXT} application Wait 3"
        say "channel originate Local/s@{_CONTEXT} application ConfBridge $call"
    done
    say "module reload"
    say "core show locks"
    say "channel request hangup all"
done
"""

Record = dict[str, Any]


@dataclass(frozen=True)
class BuiltAsterisk:
    """An Asterisk of one of the builds, with the module of scenes, and astbtd installed but not started."""

    container: Container
    build: Build

    @classmethod
    @contextmanager
    def booted(cls, build: Build) -> Iterator["BuiltAsterisk"]:
        """Boot a machine with this build for the duration of a block. Asterisk does not run yet."""
        with Container.booted(build) as container:
            asterisk = cls(container, build)
            asterisk.prepare()
            yield asterisk

    def prepare(self) -> None:
        """Install the module of scenes and astbtd, and let safe_asterisk run without a terminal."""
        self.container.run("systemctl", "stop", "asterisk.service", check=False)
        self.container.copy_in(SCENE_MODULE, _SOURCES)
        self.install_scenes()
        # The default is a virtual terminal, which a container does not have.
        self.container.write("/etc/asterisk/startup.d/terminal.sh", "TTY=\nPRIORITY=0\n")
        self.container.run("install", "-d", "-o", "asterisk", "-g", "asterisk", "/var/run/asterisk")
        self.container.write(f"/etc/systemd/system/{_UNIT}", _SERVICE)
        self.container.run("systemctl", "daemon-reload")
        Service(self.container).install()

    @property
    def modules(self) -> str:
        """The directory of Asterisk's modules."""
        library = "/usr/lib" if self.build.base is BOOKWORM else "/usr/lib/x86_64-linux-gnu"
        return f"{library}/asterisk/modules"

    def start(self, program: str = _PROGRAM) -> int:
        """Start Asterisk, after stopping one that runs. Return its process id when the scenes can be played."""
        self.stop()
        # Each under the same path, by which astbtd recognizes Asterisk; safe_asterisk runs it, too.
        self.container.run("sh", "-c", f"test -e {_ORIGINAL} || cp -p {_PROGRAM} {_ORIGINAL}")
        source = _ORIGINAL if program == _PROGRAM else program
        self.container.run("cp", "--remove-destination", source, _PROGRAM)
        self.container.run("systemctl", "start", _UNIT)
        wait_until(self._answers, "Asterisk answers on its console", _SECONDS)
        # A module that is loaded before this makes Asterisk crash.
        self.container.run("asterisk", "-rx", "core waitfullybooted")
        self.container.run("asterisk", "-rx", f"module load {MODULE}.so")
        wait_until(lambda: "scene" in self.console("core show help scene"), "the scenes are loaded", _SECONDS)
        return self.pid()

    def stop(self) -> None:
        """Kill Asterisk and safe_asterisk, and remove the cores."""
        self._kill_unit()
        self.container.run("sh", "-c", f"pkill -KILL -x asterisk; rm -f {_SOCKET} {CORE_DIRECTORY}/core*", check=False)

    def _kill_unit(self) -> None:
        """Kill all processes of the unit, and wait until it has ended: otherwise the next start can be killed, too."""
        self.container.run("systemctl", "kill", "--signal=KILL", _UNIT, check=False)
        self.container.run("systemctl", "stop", _UNIT)

    def pid(self) -> int:
        """Return the process id of Asterisk."""
        output = self.container.run("sh", "-c", "pgrep -o -x asterisk", check=False).stdout.split()
        return int(output[0]) if output else 0

    def console(self, command: str) -> str:
        """Run a console command and return its output; empty if there is no answer."""
        return self.container.run("timeout", "10", "asterisk", "-rx", command, check=False).stdout

    def crash(self, scene: str) -> Record:
        """Play a scene that ends in a crash, and return the record of the extraction."""
        self.console(f"scene {scene}")
        return self.extract(self.wait_for_core())

    def core_with_calls(self, scene: str) -> str:
        """Start Asterisk with calls and play a scene; a deadlocked one is aborted. Return the path of the core."""
        pid = self.start()
        self.start_calls()
        self.console(f"scene {scene}")
        if scene.startswith("lock_"):
            self.container.run("kill", "-ABRT", str(pid))
        return self.wait_for_core()

    def wait_for_core(self) -> str:
        """Wait for a complete core of Asterisk; stop Asterisk, and return the path of the core."""
        find = f"find {CORE_DIRECTORY} -maxdepth 1 -name 'core*' -size +1M"
        size = ""

        def exists() -> bool:
            # find fails if safe_asterisk renames the core meanwhile.
            return bool(self.container.run("sh", "-c", find, check=False).stdout)

        def is_complete() -> bool:
            nonlocal size
            before, size = (
                size,
                self.container.run("sh", "-c", f"stat -c %s {CORE_DIRECTORY}/core*", check=False).stdout,
            )
            return bool(size) and size == before

        wait_until(exists, "a core is written", _SECONDS)
        wait_until(is_complete, "the core is complete", _SECONDS)
        self._kill_unit()
        kept = "/var/tmp/scene-core"
        self.container.run("sh", "-c", f"mv {CORE_DIRECTORY}/core* {kept}")  # safe_asterisk may have renamed it
        return kept

    def extract(self, core: str) -> Record:
        """Extract a core and return its record, with the report as `report`."""
        output = self.container.run("astbtd", "extract", "--json", core, check=False, timeout=_GDB_SECONDS).stdout
        record: Record = json.loads(output.splitlines()[-1])
        record["report"] = self.container.run("astbtd", "show", record["id"]).stdout
        return record

    def fail_assertion(self, scene: str) -> str:
        """Play a scene in which assertions fail and Asterisk goes on; return the path of the log that has them."""
        self.container.run("rm", "--force", _LOG)
        self.console(f"logger add channel {_LOG} error")
        self.console(f"scene {scene}")
        # Asterisk writes it in another thread: first the assertion, then its backtrace, which an empty line ends.
        wait_until(lambda: self.container.run("cat", _LOG).stdout.endswith("\n\n"), "an assertion is logged", _SECONDS)
        return _LOG

    def diagnose(self, path: str) -> Record:
        """Return the diagnosis of a text."""
        diagnosis: Record = json.loads(self.container.run("astbtd", "diagnose", "--json", path, check=False).stdout)
        return diagnosis

    def section(self, record: Record, name: str) -> str:
        """Return a section of a crash."""
        return self.container.run("astbtd", "show", record["id"], "--section", name).stdout

    def capture(self, scene: str, *options: str) -> Record:
        """Play a scene in which threads wait for locks, and return the capture."""
        if scene == "lock_channel":
            self.start_calls()
        self.console(f"scene {scene}")
        return self.capture_now(*options)

    def capture_now(self, *options: str) -> Record:
        """Capture Asterisk."""
        output = self.container.run("astbtd", "deadlock", "--json", *options, check=False, timeout=_GDB_SECONDS).stdout
        captured: Record = json.loads(output)
        captured["report"] = self.container.run("astbtd", "show", captured["id"]).stdout
        return captured

    def start_calls(self) -> None:
        """Start calls that last: two channels that wait, and two in a bridge."""
        self.console("module load res_clioriginate.so")  # has `channel originate`; not every configuration loads it
        for step in ("s,1,Answer", "s,2,Wait,600"):
            self.console(f"dialplan add extension {step} into {_CONTEXT}")
        for application in ("Wait 600", "ConfBridge 1"):
            self.console(f"channel originate Local/s@{_CONTEXT} application {application}")
        wait_until(lambda: "softmix" in self.console("bridge show all"), "the calls are up", _SECONDS)

    def keep_busy(self) -> None:
        """Start, for ever, short calls, reloads of all modules, and hangups of all calls."""
        self.start_calls()
        self.container.write("/var/tmp/busy", _BUSY, mode=0o755)
        self.container.run("systemd-run", "--collect", "--unit=busy", "/var/tmp/busy")

    def rest(self) -> None:
        """End what `keep_busy` has started."""
        self.container.run("systemctl", "stop", "busy")

    def install_scenes(self) -> None:
        """Install the module of scenes, and the library that it uses."""
        self._make("install")

    def replace_module(self) -> None:
        """Replace the module of scenes on disk by another build, while Asterisk runs the old one."""
        self._make("replace")

    def _make(self, target: str) -> None:
        self.container.run("make", f"--directory={_SOURCES}", f"MODULES={self.modules}", target)

    def _answers(self) -> bool:
        return re.search(r"System uptime", self.console("core show uptime")) is not None
