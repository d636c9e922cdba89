"""Runs the two steps of the notifications as their units do: from the store to the spool, then to the sinks."""

import os
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support.commands import command_line, run_astbtd
from tests.support.harness import TIMEOUT, RunningDaemon


@dataclass(frozen=True)
class TrackerNotifications:
    """The notifications of a store to an error tracker. `directory` is that of the networked unit."""

    running: RunningDaemon
    directory: Path

    def configure(self, dsn: str, **sentry: object) -> None:
        """Have the configuration name this project. The DSN is a credential, as systemd gives it to the unit."""
        settings = {"sentry": {"enabled": True, **sentry}, "directory": str(self.directory)}
        file = self.running.configuration
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), "notify": settings}))
        self._credentials.mkdir(exist_ok=True)
        (self._credentials / "secrets").write_text(yaml.safe_dump({"sentry": {"dsn": dsn}}))

    def send(self) -> str:
        """Do both steps. Return what the second one said."""
        self._run("--spool")
        return self._run("--deliver")

    def send_until(self, said: str) -> str:
        """Do both steps, the second until it says this: after a failure it waits for minutes. Return what it said."""
        self._run("--spool")
        command = command_line(self.running, "notify", "--deliver")
        environment = {**os.environ, **self._environment}
        with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
            give_up = threading.Timer(TIMEOUT, process.kill)
            give_up.start()
            assert process.stderr is not None
            heard = ""
            while said not in heard and (line := process.stderr.readline()):
                heard += line
            give_up.cancel()
            process.kill()
        assert said in heard, heard
        return heard

    def test(self) -> str:
        """Send a test to each sink. Return what the command printed."""
        return self._run("--test")

    @property
    def _environment(self) -> dict[str, str]:
        return {"CREDENTIALS_DIRECTORY": str(self._credentials)}

    @property
    def _credentials(self) -> Path:
        return self.directory.with_name("credentials")

    def _run(self, option: str) -> str:
        done = run_astbtd(self.running, "notify", option, environment=self._environment)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr
