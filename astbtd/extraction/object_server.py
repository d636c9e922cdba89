"""Shows gdb the shared objects that it asks for, by links in a directory in which it can make nothing itself.

gdb may have been taken over: all that a request can bring about is a link below that directory to a file which the
process had mapped. A request is `PATH NUL NAME`, one packet; the answer is one byte, whether or not there is a link.
"""

import os
import secrets
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from astbtd.extraction import shared_objects
from astbtd.lib import files

_LONGEST_NAME = 1024
_DEEPEST = 32  # directories
_LONGEST_REQUEST = 8192
_MOST_REQUESTS = 2000


class ObjectServer:
    """The objects that gdb is shown. `name` is of their directory, which gdb finds in its own; `asking` is gdb's end of
    the socket that it asks by, `asked` ours.
    """

    def __init__(self, directory: Path, mapped: Iterable[str], group: int) -> None:
        self._directory = directory
        self._mapped = frozenset(mapped)
        self._group = group
        self._left = _MOST_REQUESTS
        self._made: set[Path] = set()
        self.name = directory.name
        self.asked, self.asking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def close(self) -> None:
        """Ends the asking."""
        self.asked.close()
        self.asking.close()

    def answer(self) -> bool:
        """Answers one request; False when no more will be answered."""
        try:
            request = self.asked.recv(_LONGEST_REQUEST)
            if not request or not self._left:
                self.asked.shutdown(socket.SHUT_RDWR)
                return False
            self._left -= 1
            self.show(*os.fsdecode(request).partition("\0")[::2])
            self.asked.send(b"\0", socket.MSG_DONTWAIT)
        except OSError:
            return False
        return True

    def show(self, path: str, name: str) -> None:
        """Links `name` below the directory to the mapped file `path`, unless it is no name that a linker gives."""
        if path not in self._mapped or not _is_plain(name):
            return
        link = Path(shared_objects.place(str(self._directory), name))
        with suppress(OSError):
            if link.parent not in self._made:
                shared_objects.make_parents(link, self._group, self._directory)
                self._made.add(link.parent)
            os.symlink(path, link)


def _is_plain(name: str) -> bool:
    """Whether a name begins at the root and is no way round, nor too long or deep."""
    plain = name.startswith("/") and name == os.path.normpath(name) and "\0" not in name
    return plain and len(name) <= _LONGEST_NAME and name.count("/") <= _DEEPEST


@contextmanager
def shown(copies: Path, mapped: Iterable[str], group: int) -> Iterator[ObjectServer]:
    """Nothing shown yet, in a new directory in `copies` that `group` may read; its name is in no core's memory."""
    directory = copies / secrets.token_hex(8)
    files.make_directory(directory, group=group)
    one = ObjectServer(directory, mapped, group)
    try:
        yield one
    finally:
        one.close()
