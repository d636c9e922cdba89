"""A collector is one file: everything else is derived from the registry."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import astbtd
from astbtd.lib.mounts import Mounts
from astbtd.settings import Settings
from astbtd.sources.collectors.collector import Collector
from astbtd.sources.collectors.registry import COLLECTORS, find_collector
from astbtd.sources.watched_directories import collector_directories
from tests.support.collected_cores import KEEP_AS
from tests.support.collector_samples import STORE_AS

ROOT = Path(__file__).parents[4]
NEW_COLLECTOR = '''
"""A collector that only this test knows."""

from dataclasses import dataclass

from astbtd.sources.collectors.collector import Collector, CollectorMetadata


@dataclass(frozen=True)
class Example(Collector):
    name = "example-collector"
    helpers = frozenset(("example-helper",))
    directories = ("/var/lib/example",)

    def core_files(self, directory, entry):
        return [entry]

    def read_metadata(self, descriptor, directory, name):
        return CollectorMetadata()

    def journal_match(self, name):
        return {"EXAMPLE_CORE": name}

    def parse_journal_entry(self, entry, name):
        return CollectorMetadata(cwd=entry["EXAMPLE_CWD"])


COLLECTOR = Example()
'''
USE_NEW_COLLECTOR = """
from datetime import UTC, datetime
from types import SimpleNamespace

from astbtd import settings
from astbtd.announce import systemd
from astbtd.daemon.collector_journal import find_metadata
from astbtd.lib.mounts import Mounts
from astbtd.sources import core_pattern
from astbtd.sources.watched_directories import collector_directories

defaults = settings.Settings()
assert "/var/lib/example" in collector_directories(defaults.collectors, Mounts.current())

configured = settings.parse(b"collectors: {example_collector: [/srv/example]}", "test")
directories = collector_directories(configured.collectors, Mounts.current())
assert directories["/srv/example"].name == "example-collector"
assert core_pattern.parse("|/opt/example-helper %P").feeds(directories["/srv/example"])

systemd.entries = lambda fields, keep_waiting: iter([{"EXAMPLE_CWD": fields["EXAMPLE_CORE"]}])
record = SimpleNamespace(
    source="example-collector", name="core.1", facts=SimpleNamespace(crashed_at=datetime.now(UTC))
)
assert find_metadata(record).cwd == "core.1"
"""


@pytest.fixture(params=COLLECTORS, ids=lambda collector: collector.name)
def collector(request: pytest.FixtureRequest) -> Collector:
    """Each registered collector."""
    found: Collector = request.param
    return found


def test_every_module_with_a_collector_is_registered() -> None:
    modules = (ROOT / "astbtd/sources/collectors").glob("*.py")
    defined = {path.stem for path in modules if "(Collector):" in path.read_text()}

    assert defined == {collector.settings_key for collector in COLLECTORS}


def test_a_collector_is_found_by_its_name(collector: Collector) -> None:
    assert find_collector(collector.name) is collector


@pytest.mark.parametrize("name", ["file", "live", "unheard-of"])
def test_other_sources_are_no_collectors(name: str) -> None:
    assert find_collector(name) is None


def test_the_defaults_of_the_settings_are_the_collectors_directories(collector: Collector) -> None:
    assert Settings().collectors.directories(collector) == collector.directories


def test_the_default_directories_of_a_collector_are_searched(collector: Collector) -> None:
    found = collector_directories(Settings().collectors, Mounts.current())

    assert {directory for directory, whose in found.items() if whose == collector} == {
        Mounts.current().resolve_links(directory) for directory in collector.directories
    }


def test_the_example_configuration_and_the_manual_list_the_directories(collector: Collector) -> None:
    listed = f"{collector.settings_key}: [{', '.join(collector.directories)}]"
    manual = (ROOT / "man/astbtd.yaml.5").read_text().replace(' "', "").replace('"', "").replace(r"\-", "-")

    assert listed in (ROOT / "etc/astbtd.yaml").read_text()
    assert listed in manual


def test_the_daemon_cannot_write_to_the_default_directories(collector: Collector) -> None:
    unit = (ROOT / "packaging/systemd/astbtd.service").read_text()
    (line,) = (line for line in unit.splitlines() if line.startswith("ReadOnlyPaths="))
    read_only = [word.lstrip("-") for word in line.removeprefix("ReadOnlyPaths=").split()]

    for directory in collector.directories:
        # The kernel may be configured to write cores to /var/crash, and those are moved.
        assert directory == "/var/crash" or any(f"{directory}/".startswith(f"{path}/") for path in read_only)


def test_the_tests_can_store_a_core_as_each_collector_does() -> None:
    assert STORE_AS.keys() == KEEP_AS.keys() == {collector.name for collector in COLLECTORS}


def test_a_new_module_is_all_that_a_new_collector_needs(tmp_path: Path) -> None:
    package = tmp_path / "astbtd"
    shutil.copytree(Path(astbtd.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "sources/collectors/example_collector.py").write_text(NEW_COLLECTOR)

    completed = subprocess.run(
        [sys.executable, "-c", USE_NEW_COLLECTOR],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )

    assert completed.stderr == ""
    assert completed.returncode == 0
