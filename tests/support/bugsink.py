"""Runs Bugsink, an error tracker that speaks the Sentry protocol, on the loopback interface, and reads its database.

`make trackers` installs it from PyPI in an environment of its own; only tests use it. With SQLite and eager tasks it
acknowledges an event when it is stored, so that the event is in its database even if it is killed.
"""

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.parse
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.harness import TIMEOUT

_BUILD = Path(__file__).parents[2] / "build/trackers"
_PROGRAMS = _BUILD / "bugsink/bin"
_TEMPLATE = _BUILD / "bugsink-template"
_KEY = "5e0c8b2f7a4d4c0e9b1d3f6a8c7e2d10"
BUGSINK_IS_MISSING = not (_TEMPLATE / "db.sqlite3").exists()

# Bugsink's limits are raised: 1,000 events in 5 minutes, 5,000 in an hour, 10,000 kept for each project by default. The
# browser of a test has no password: everybody is the one user.
_CONFIGURATION = """\
import os
from bugsink.settings.default import *

_DIRECTORY = os.path.dirname(os.path.abspath(__file__))
SECRET_KEY = "for tests on the loopback interface only, of a server that lives as long as the test does"
DATABASES["default"]["NAME"] = os.path.join(_DIRECTORY, "db.sqlite3")
DATABASES["snappea"]["NAME"] = os.path.join(_DIRECTORY, "snappea.sqlite3")
TIME_ZONE = "UTC"
SNAPPEA = {"TASK_ALWAYS_EAGER": True}
EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
_UNLIMITED = 10_000_000
_PERIODS = ("5_MINUTES", "HOUR", "MONTH")
BUGSINK = {
    "BASE_URL": "http://127.0.0.1",
    "SINGLE_USER": True,
    "PHONEHOME": False,
    "INGEST_STORE_BASE_DIR": os.path.join(_DIRECTORY, "ingestion"),
    "VALIDATE_ON_DIGEST": "strict",
    **{f"MAX_EVENTS_PER_{period}": _UNLIMITED for period in _PERIODS},
    **{f"MAX_EVENTS_PER_PROJECT_PER_{period}": _UNLIMITED for period in _PERIODS},
}
MIDDLEWARE.insert(
    MIDDLEWARE.index("bugsink.middleware.AdminRequiresSettingMiddleware"), "bugsink_conf.everybody_is_the_user"
)


def everybody_is_the_user(get_response):
    def handle(request):
        from users.models import User

        request.user = User.objects.get()
        return get_response(request)

    return handle
"""
_FILL = f"""
from projects.models import Project
from teams.models import Team
from users.models import User

User.objects.create_superuser("tester", "tester@example.org", "password")
team = Team.objects.create(name="PBX")
Project.objects.create(name="Asterisk", team=team, sentry_key="{_KEY}", retention_max_event_count=10_000_000)
"""


@dataclass
class Bugsink:
    """A running Bugsink with one project. It can be killed and started again."""

    directory: Path
    port: int
    _process: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    @property
    def address(self) -> str:
        """The address of its pages."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def dsn(self) -> str:
        """The DSN of its project."""
        return f"http://{_KEY}@127.0.0.1:{self.port}/1"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        command = [f"{_PROGRAMS}/gunicorn", f"--bind=127.0.0.1:{self.port}", "--workers=2", "--threads=4"]
        self._process = subprocess.Popen(
            [*command, "--timeout=600", "bugsink.wsgi"],
            cwd=self.directory,
            env=_environment(self.directory),
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        give_up = threading.Timer(TIMEOUT, self.kill)
        give_up.start()
        log = self._process.stderr
        assert log is not None
        assert any(b"Booting worker" in line for line in iter(log.readline, b"")), "Bugsink ended"
        give_up.cancel()
        threading.Thread(target=log.read, daemon=True).start()  # so that it never blocks on the pipe

    def kill(self) -> None:
        """Kill all its processes."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def query(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Return rows of its database."""
        uri = f"file:{self.directory / 'db.sqlite3'}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=TIMEOUT)) as database:
            return database.execute(statement, values).fetchall()

    def issue_page(self, fingerprint: Sequence[str]) -> str:
        """Return the address of the page with the stack of the first event of an issue."""
        statement = "SELECT issue_id FROM issues_grouping WHERE grouping_key = ?"
        ((issue,),) = self.query(statement, issue_key(fingerprint))
        return f"{self.address}/issues/issue/{uuid.UUID(issue)}/event/first/"

    def search(self, query: str) -> str:
        """Return the page with the issues for which this was searched."""
        address = f"{self.address}/issues/1/all/?{urllib.parse.urlencode({'q': query})}"
        with urllib.request.urlopen(address, timeout=TIMEOUT) as page:  # noqa: S310 - its own address
            found = page.read()
        assert isinstance(found, bytes)
        return found.decode()

    def event_ids(self) -> list[str]:
        """Return the ids of all events, in hexadecimal digits."""
        return [event_id for (event_id,) in self.query("SELECT event_id FROM events_event")]

    def counts(self) -> dict[str, int]:
        """Return the number of events of each issue, by the fingerprint of its events. No event was evicted."""
        statement = """
            SELECT grouping_key, digested_event_count, stored_event_count
            FROM issues_issue JOIN issues_grouping ON issues_grouping.issue_id = issues_issue.id
        """
        rows = self.query(statement)
        assert all(digested == stored for _, digested, stored in rows)
        return {str(key): int(digested) for key, digested, _ in rows}

    def releases(self) -> set[str]:
        """Return the releases that it knows."""
        return {version for (version,) in self.query("SELECT version FROM releases_release")}

    def tag_values(self, key: str) -> "Counter[str]":
        """Return the number of events for each value of a tag."""
        statement = """
            SELECT tags_tagvalue.value FROM tags_eventtag
            JOIN tags_tagvalue ON tags_tagvalue.id = tags_eventtag.value_id
            JOIN tags_tagkey ON tags_tagkey.id = tags_tagvalue.key_id WHERE tags_tagkey.key = ?
        """
        return Counter(value for (value,) in self.query(statement, key))


@contextmanager
def bugsink(directory: Path) -> Iterator[Bugsink]:
    """Run an empty Bugsink in a new directory for the duration of a block."""
    shutil.copytree(_TEMPLATE, directory)
    running = Bugsink(directory, _free_port())
    running.start()
    try:
        yield running
    finally:
        running.kill()


def issue_key(fingerprint: Sequence[str]) -> str:
    """Return how Bugsink writes a fingerprint."""
    return " ⋄ ".join(fingerprint)


def make_template() -> None:
    """Create the directory of a Bugsink with a user and a project. Its migrations take a minute, so it is done once."""
    unfinished = _TEMPLATE.with_name("unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    (unfinished / "bugsink_conf.py").write_text(_CONFIGURATION)
    for arguments in (["migrate"], ["migrate", "--database=snappea"], ["shell", "-c", _FILL]):
        command = [f"{_PROGRAMS}/bugsink-manage", *arguments]
        subprocess.run(command, cwd=unfinished, env=_environment(unfinished), stdout=subprocess.DEVNULL, check=True)
    shutil.rmtree(_TEMPLATE, ignore_errors=True)
    unfinished.rename(_TEMPLATE)


def _environment(directory: Path) -> dict[str, str]:
    return {"PATH": os.environ["PATH"], "PYTHONPATH": str(directory), "DJANGO_SETTINGS_MODULE": "bugsink_conf"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    make_template()
    print(f"{sys.argv[0]}: {_TEMPLATE}")  # noqa: T201 - for whoever runs make
