"""The command line in tests, on a store of its own."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from astbtd.cli import common
from astbtd.cli.main import main
from astbtd.lib import scheduling
from astbtd.model.crash import KEPT_CORE_FILE, REPORT_FILE, Crash
from astbtd.store.store import Store
from tests.support.builders import crash
from tests.support.cli_types import NOBODY, Answer, Keep, Run
from tests.support.harness import scratch_directory


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A directory that other users may search, unlike pytest's."""
    with scratch_directory() as directory:
        yield directory


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """A configuration with a store in the test's directory, so that the machine's own files do not matter."""
    file = tmp_path / "astbtd.yaml"
    file.write_text(f"store: {tmp_path / 'store'}\n")
    file.chmod(0o644)
    return file


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "store")
    store.prepare()
    return store


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(scheduling, "let_others_preempt", lambda: None)  # it is for the whole life of the process

    def run(*arguments: str | Path) -> Answer:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as ended:  # argparse, on wrong usage and on --help
            code = int(ended.code or 0)
        return Answer(code, *capsys.readouterr())

    return run


@pytest.fixture
def astbtd(run: Run, configuration: Path) -> Run:
    """Runs `astbtd` on the test's store."""
    return lambda *arguments: run("--config", configuration, *arguments)


@pytest.fixture
def keep(store: Store) -> Keep:
    def keep(crash: Crash, **files: bytes) -> Path:
        staged = store.stage(crash.id)
        (staged / REPORT_FILE).write_text(f"report of {crash.id}\n")
        for name, content in files.items():
            (staged / f"{name}.txt").write_bytes(content)
        return store.commit(staged, crash)

    return keep


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Output goes to a terminal, and the clock advances by a second each time it is read."""
    monkeypatch.setattr("_pytest.capture.CaptureIO.isatty", lambda _: True)
    seconds = itertools.count()
    monkeypatch.setattr(common, "time", SimpleNamespace(monotonic=lambda: float(next(seconds))))


@pytest.fixture
def plain_user(configuration: Path, store: Store, keep: Keep) -> Iterator[None]:
    """The process runs as nobody, in the group that may read the store. The store has one crash with its core."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    configuration.chmod(0o644)
    (keep(crash()) / KEPT_CORE_FILE).write_bytes(bytes(2000))
    for path in (store.root, *store.root.rglob("*")):
        os.chown(path, -1, NOBODY)
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)
    os.setegid(0)
