"""A store, its notifications to a mail server and other sinks, and the command that their units run."""

import os
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import yaml

from astbtd import settings
from astbtd.errors import AstbtdError
from astbtd.model.crash import Crash
from astbtd.notify.secrets import Secrets, load_secrets
from astbtd.notify.sinks.configured import configured_sinks
from astbtd.notify.spool import Spool
from astbtd.notify.unit_steps import UnitSteps
from astbtd.settings import Settings
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.notifications import FakeClock
from tests.support.postfix import RECIPIENT, Postfix
from tests.support.stores import process
from tests.support.webhook import Webhook


class Installation:
    """A store, the directories of the two units, a configuration, and the command."""

    def __init__(self, root: Path, postfix_port: int) -> None:
        self.root = root
        self.store = Store(root / "store")
        self.store.prepare()
        self.notify: dict[str, object] = {"directory": str(root / "notify")}
        self.mail: dict[str, object] = {"to": [RECIPIENT], "server": "127.0.0.1", "port": postfix_port}
        self.notify["mail"] = self.mail
        self.secrets = ""
        self.clock = FakeClock(datetime.now(UTC))

    @property
    def settings(self) -> Settings:
        """The settings as they are now."""
        return settings.parse(yaml.safe_dump({"store": str(self.store.root), "notify": self.notify}).encode(), "test")

    @property
    def spool(self) -> Spool:
        """The spool."""
        return UnitSteps(self.settings).spool

    def mark(self) -> str:
        """Return the newest entry that all sinks are done with."""
        return UnitSteps(self.settings).lowest_mark()

    def use_directory(self, directory: Path) -> None:
        """Use other directories for the two units."""
        self.notify["directory"] = str(directory)

    def run(self, *arguments: str, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `astbtd notify` as the units do."""
        command = [sys.executable, "-m", "astbtd", *self.command_line(*arguments)]
        variables = {**os.environ, **self.variables, **environment}
        return subprocess.run(command, env=variables, capture_output=True, text=True, check=check)

    def command_line(self, *arguments: str) -> list[str]:
        """Write the configuration, and return the arguments for `astbtd notify` with it."""
        configuration = self.root / "astbtd.yaml"
        configuration.write_text(yaml.safe_dump({"store": str(self.store.root), "notify": self.notify}))
        (self.root / "secrets").write_text(self.secrets)
        return ["--config", str(configuration), "notify", *arguments]

    @property
    def variables(self) -> dict[str, str]:
        """The environment of a unit: the secrets are a credential."""
        return {"CREDENTIALS_DIRECTORY": str(self.root)}

    def run_as_unit(self, step: str) -> str:
        """Run a step as its unit does, which has a directory in memory; return what is logged."""
        directory = self.root / "run"
        directory.mkdir(exist_ok=True)
        return self.run(step, check=False, RUNTIME_DIRECTORY=str(directory)).stderr

    def deliver(self, hours: float = 0) -> list[str]:
        """Deliver as the unit does, with a clock that is this much later; return what was logged."""
        (self.root / "secrets").write_text(self.secrets)
        self.clock.sleep(hours * 3600)
        logged: list[str] = []
        steps = UnitSteps(self.settings)
        delivery = replace(steps.delivery(lambda line, _: logged.append(line)), clock=self.clock)
        try:
            secrets: Secrets | AstbtdError = load_secrets(self.variables)
        except AstbtdError as error:
            secrets = error
        with steps.states.lock():
            delivery.run(configured_sinks(self.settings.notify, secrets))
        return logged

    def sent_by(self, postfix: Postfix, webhook: Webhook) -> str:
        """Deliver all that is new, in whatever number of messages; return all that was received, decoded as well."""
        self.run("--spool")
        self.deliver(hours=2)
        queue_id = self.run("--test", "mail").stdout.split()[-1]  # the mails before it were delivered before it
        postfix.wait_for(f"{queue_id}: removed")
        decoded = [str(mail.get_content()) for mail in postfix.mails()]
        return "".join(map(str, (postfix.received(), *webhook.received, *decoded)))

    def begin(self) -> None:
        """Make the first pass, for which everything is old."""
        self.run("--spool")

    def add(self, *crashes: Crash) -> None:
        """Record crashes."""
        for each in crashes:
            process(self.store, each)


def new_crash(number: int) -> Crash:
    """Return a crash with a signature of its own."""
    one = crash(number * 30, pid=number, signature=f"{number:012x}", function=f"function_{number}")
    return replace(one, host="pbx7")


def subject(one: Crash) -> str:
    """Return the end of the subject of the mail about a crash."""
    return f"Asterisk crashed: fault in {one.diagnosis.crash_function} (new)"
