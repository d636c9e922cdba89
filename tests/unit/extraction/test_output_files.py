"""The size of gdb's output, and truncating it to the limit."""

import ctypes
import os
import re
from pathlib import Path

from astbtd.extraction.output_files import FACTS, create_output_files
from astbtd.model.crash import Section

_KEEP_SIZE = 1  # fallocate(2)


def test_truncating_keeps_the_most_valuable_sections(tmp_path: Path) -> None:
    with create_output_files(tmp_path, -1) as output:
        for section in (Section.BACKTRACE, Section.FULL, Section.INFO):
            os.write(output.descriptors[section], bytes(1000))
        output.truncate(1500)
        assert output.section_sizes() == {Section.BACKTRACE: 1000, Section.FULL: 500}


def test_allocated_space_beyond_the_end_of_a_file_counts_and_is_freed(tmp_path: Path) -> None:
    with create_output_files(tmp_path, -1) as output:
        section = output.descriptors[Section.FULL]
        assert ctypes.CDLL(None).fallocate(section, _KEEP_SIZE, ctypes.c_long(0), ctypes.c_long(1 << 20)) == 0
        assert os.fstat(section).st_size == 0
        assert output.total_bytes() >= 1 << 20

        output.truncate(1 << 16)
        assert output.total_bytes() == 0


def test_lines_are_removed_and_the_others_stay(tmp_path: Path) -> None:
    with create_output_files(tmp_path, -1) as output:
        os.write(output.descriptors[Section.LOG], b"first\nnoise 1\nnoise 2\nlast\n")
        output.remove_lines([Section.LOG], re.compile(rb"^noise \d\n", re.MULTILINE))

    assert (tmp_path / Section.LOG).read_text() == "first\nlast\n"


def test_empty_sections_and_json_files_are_removed_at_the_end(tmp_path: Path) -> None:
    with create_output_files(tmp_path, -1) as output:
        os.write(output.descriptors[FACTS], b"{}")
        os.write(output.descriptors[Section.BACKTRACE], b"#0")
        assert output.read_facts() == b"{}"
        assert output.section_sizes() == {Section.BACKTRACE: 2}

    assert os.listdir(tmp_path) == [Section.BACKTRACE]


def test_text_is_appended_after_what_gdb_wrote(tmp_path: Path) -> None:
    with create_output_files(tmp_path, -1) as output:
        os.write(output.descriptors[Section.INFO], b"Version: 22\n")
        os.lseek(output.descriptors[Section.INFO], 0, os.SEEK_SET)
        output.append(Section.INFO, "and more\n")

        assert output.read_start(Section.INFO) == b"Version: 22\nand more\n"


def test_clearing_empties_all_files(tmp_path: Path) -> None:
    with create_output_files(tmp_path, -1) as output:
        for descriptor in output.descriptors.values():
            os.write(descriptor, b"text")
        output.clear()
        os.write(output.descriptors[Section.LOG], b"new")

        assert output.section_sizes() == {Section.LOG: 3}
        assert output.read_states() == b""
