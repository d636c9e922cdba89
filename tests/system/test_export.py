"""A crash of forky's Asterisk, exported, gives the same frames on a Debian 12 that has no Asterisk."""

from pathlib import Path

from astbtd.backtrace import parser
from tests.support.containers.asterisk import Crash
from tests.support.containers.container import Container
from tests.support.containers.image import BOOKWORM
from tests.support.containers.machine import booted

ARCHIVE = "/var/tmp/archive"


def crashed_frames(text: str) -> list[tuple[int | None, str | None, str | None, int | None]]:
    """Return level, function, source file and line of each frame of the crashed thread."""
    return [(frame.level, frame.function, frame.file, frame.line) for frame in parser.parse(text).threads[0].frames]


def test_an_archive_of_forky_opened_in_bookworm_gives_the_same_frames() -> None:
    with booted() as machine, Container.booted(BOOKWORM) as developer:
        crashed = machine.crash(Crash.SEGV)
        expected = machine.service.command("show", crashed["id"], "--section", "backtrace")
        machine.container.run("astbtd", "export", crashed["id"], "--output", ARCHIVE, timeout=300)

        developer.copy_in(Path(f"/proc/{machine.container.init}/root{ARCHIVE}"), ARCHIVE)
        developer.run("tar", "--extract", f"--file={ARCHIVE}", "--directory=/srv", timeout=300)
        opened = developer.run("sh", f"/srv/{crashed['id']}/open.sh", "-batch", "-ex", "bt", timeout=300).stdout

    assert crashed["diagnosis"]["crash_function"] == "write_hangup_cause"
    assert crashed_frames(opened) == crashed_frames(expected)
