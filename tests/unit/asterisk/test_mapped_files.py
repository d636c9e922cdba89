"""The list of files from which a process has mapped code."""

import os
from pathlib import Path

import pytest

from astbtd.asterisk.mapped_files import MappedCode, open_executable, opened_process, read_mapped_code

MAPS = """\
55d000000000-55d000001000 r--p 00000000 fe:00 10                         /usr/sbin/asterisk
55d000001000-55d000002000 r-xp 00001000 fe:00 10                         /usr/sbin/asterisk
7f0000000000-7f0000001000 r-xp 00000000 fe:00 11                         /m/app with space.so
7f0000001000-7f0000002000 r-xp 00000000 fe:00 12                         /m/app_gone.so (deleted)
7f0000002000-7f0000003000 r--p 00000000 fe:00 13                         /usr/lib/locale/locale-archive
7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0                          [vdso]
"""


def test_files_with_code_are_listed_once_without_those_that_were_removed(tmp_path: Path) -> None:
    (tmp_path / "maps").write_text(MAPS)
    process = os.open(tmp_path, os.O_RDONLY)

    mapped = read_mapped_code(process)

    os.close(process)
    assert mapped == (MappedCode("/usr/sbin/asterisk", 10), MappedCode("/m/app with space.so", 11))


def test_the_files_of_this_process_are_those_on_disk() -> None:
    with opened_process(os.getpid()) as process:
        mapped = read_mapped_code(process)
        program = open_executable(process)

    same = [os.stat(each.path).st_ino == each.inode for each in mapped]
    assert len(same) > 3
    assert all(same)
    assert os.path.samestat(os.fstat(program), os.stat("/proc/self/exe"))
    os.close(program)


def test_a_process_that_has_ended_cannot_be_opened() -> None:
    with pytest.raises(OSError, match="No such"), opened_process(1 << 30):
        pass
