"""Cores of any size that are hostile in one way each: notes, names of mapped files, segments, in very large numbers."""

from astbtd.elf.headers import FileType, Segment
from tests.support.builders import FORMS, NT_AUXV, NT_FILE, NT_PRSTATUS, PT_LOAD, PT_NOTE, DeadProcess, Part, elf_file

_FORM = FORMS[0]
_MOST_SEGMENTS = 0xFFFE  # that the header of an ELF file can count


def of_zeros(size: int) -> bytes:
    """Return a core with notes that are all zero."""
    return _with_notes(bytes(size))


def of_empty_notes(size: int) -> bytes:
    """Return a core with many notes without content."""
    return _with_notes(_repeat(_FORM.note(b"CORE", 0, b""), size))


def of_threads(size: int) -> bytes:
    """Return a core with very many threads, whose registers are unreadable."""
    return _with_notes(DeadProcess().notes() + _repeat(_FORM.note(b"CORE", NT_PRSTATUS, bytes(8)), size))


def of_vectors(size: int) -> bytes:
    """Return a core with an auxiliary vector that does not end."""
    return _with_notes(_FORM.note(b"CORE", NT_AUXV, _repeat(_FORM.pack("PP", 3, 1), size)))


def of_names(size: int) -> bytes:
    """Return a core of Asterisk with the names of very many files that do not exist."""
    count = size // 64
    names = b"/usr/sbin/asterisk\0" + b"".join(b"/lib/missing_%018d.so\0" % number for number in range(count - 1))
    return _with_files(count, names)


def of_long_names(size: int) -> bytes:
    """Return a core of Asterisk with a few file names, each of many directories."""
    return _with_files(4, b"/usr/sbin/asterisk\0" + 3 * (_repeat(b"/a", size // 3) + b"\0"))


def of_images(size: int) -> bytes:
    """Return a core that names a hundred programs, in each of which very many notes are to be searched."""
    count, address, page = 100, 0x400000, 4096
    row = _FORM.row(Segment(PT_NOTE, 4, page, page, size))
    image = (_FORM.header(FileType.SHARED, 16) + row * 16).ljust(page, b"\0")
    image += _repeat(_FORM.note(b"GNU", 1, b""), size)
    names = b"/usr/sbin/asterisk\0" + b"".join(b"/lib/program_%06d.so\0" % number for number in range(count - 1))
    mapped = _FORM.pack("PP", count, page) + _FORM.pack("PPP", address, address + page, 0) * count + names
    notes = _FORM.note(b"CORE", NT_FILE, mapped) + DeadProcess(without=(NT_FILE,)).notes()
    return elf_file(_FORM, FileType.CORE, [Part(PT_NOTE, 0, notes), Part(PT_LOAD, address, image)])


def of_segments(size: int) -> bytes:
    """Return a core with as many segments as its size or its header permits, all at the same address."""
    count = min(size // _FORM.row_size, _MOST_SEGMENTS)
    row = _FORM.row(Segment(PT_LOAD, 4, 64, 0x1000, 1 << 40))
    return (_FORM.header(FileType.CORE, count) + row * count).ljust(size, b"\0")


def _with_files(count: int, names: bytes) -> bytes:
    mapped = _FORM.pack("PP", count, 4096) + _FORM.pack("PPP", 0, 1, 0) * count + names
    return _with_notes(_FORM.note(b"CORE", NT_FILE, mapped) + DeadProcess(without=(NT_FILE,)).notes())


def _with_notes(notes: bytes) -> bytes:
    return elf_file(_FORM, FileType.CORE, [Part(PT_NOTE, 0, notes)])


def _repeat(piece: bytes, size: int) -> bytes:
    return piece * (size // len(piece))
