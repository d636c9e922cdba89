"""The demo: a real program crashes, the real daemon collects it, and you see what an administrator sees."""

import subprocess
import sys
from pathlib import Path

from tests.support.harness import RunningDaemon, crash, daemon, scratch_directory
from tests.support.kernel import cores_in_working_directory


def main(programs: Path) -> None:
    """Runs the demo with the programs built in `programs`."""
    with scratch_directory() as directory, cores_in_working_directory():
        spool = directory / "asterisk"
        spool.mkdir()
        with daemon(directory, {"watch": {"directories": [str(spool)]}}) as running:
            _show(running, programs, spool)


def _show(running: RunningDaemon, programs: Path, spool: Path) -> None:
    running.start()
    _title("The daemon runs and watches; its status line, as systemctl shows it")
    _say(running.manager.status)

    _title("Asterisk (played by a program of 10 threads and 5 modules) crashes")
    core = crash(programs, spool, "segv")
    running.wait_for_crashes(1)
    running.wait_until(lambda: "last crash" in running.manager.status, "the status line to show the crash")
    _say(running.output().strip())

    for verb in (["list"], ["show"]):
        _title(f"astbtd {' '.join(verb)}")
        _astbtd(running, *verb)
    _title("The files of the crash (and the core is gone from where it was: it is in the store, compressed)")
    _run("ls", "-l", f"{running.store.root}/latest/")
    assert not core.exists()
    _title("The status line now")
    _say(running.manager.status)
    running.stop()


def _astbtd(running: RunningDaemon, *arguments: str) -> None:
    _run(sys.executable, "-m", "astbtd", "--config", str(running.configuration), *arguments)


def _run(*argv: str) -> None:
    subprocess.run(argv, check=True)


def _title(text: str) -> None:
    _say(f"\n== {text}")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
