"""Give gdb access to the shared objects that it requests, by symbolic links in a directory that it cannot write to.

gdb may be compromised. A request can only create a link below that directory, and only to a file that the crashed
process had mapped. If others could exchange such files, the links are to what `shared_objects` has put into `tree`.
A request is one packet, `PATH NUL NAME`; the answer is one byte, whether or not a link was created. Before the first
request, a packet with one byte and the descriptor of the core says that the objects are ready. The packet `written`,
which has no answer, says that backtrace.txt is complete.
"""

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from astbtd.extraction import object_paths
from astbtd.lib import files

_MAX_NAME_LENGTH = 1024
_MAX_DEPTH = 32  # directories
_MAX_REQUEST_BYTES = 8192
_MAX_REQUESTS = 2000
_BACKTRACE_WRITTEN = b"written"  # as in script/job.py, which only gdb can import


class ObjectServer:
    """Creates links to shared objects on request.

    `name` is the name of the directory with the links, below gdb's working directory. gdb sends requests to
    `client_socket`, we receive them from `server_socket`. `backtrace_written` is called once, when backtrace.txt is
    complete.
    """

    def __init__(self, directory: Path, group: int, backtrace_written: Callable[[], None]) -> None:
        self._directory = directory
        self._tree: Path | None = None
        self._mapped: frozenset[str] = frozenset()
        self._group = group
        self._backtrace_written = backtrace_written
        self._requests_left = _MAX_REQUESTS
        self._created: set[Path] = set()
        self.name = directory.name
        self.server_socket, self.client_socket = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def offer(self, mapped: Iterable[str], tree: str | None = None) -> None:
        """Let gdb request these files that the process had mapped.

        `tree` is the name of the directory beside ours that holds them, None if gdb may open them by their paths.
        """
        self._mapped = frozenset(mapped)
        self._tree = self._directory.with_name(tree) if tree else None

    def send_core(self, core: int) -> None:
        """Send the descriptor of the core, for which gdb waits before its first request."""
        with suppress(OSError):  # it has ended
            socket.send_fds(self.server_socket, [b"\0"], [core])  # never waits: it is the first packet

    def close(self) -> None:
        """Close both sockets."""
        self.server_socket.close()
        self.client_socket.close()

    def handle_request(self) -> bool:
        """Receive and answer one request; return False if no more requests will be answered."""
        try:
            request = self.server_socket.recv(_MAX_REQUEST_BYTES)
            if not request or not self._requests_left:
                self.server_socket.shutdown(socket.SHUT_RDWR)
                return False
            self._requests_left -= 1
            if request != _BACKTRACE_WRITTEN:
                path, _, name = os.fsdecode(request).partition("\0")
                self.link(path, name)
                self.server_socket.send(b"\0", socket.MSG_DONTWAIT)
        except OSError:
            return False
        if request == _BACKTRACE_WRITTEN:
            written, self._backtrace_written = self._backtrace_written, lambda: None
            written()
        return True

    def link(self, path: str, name: str) -> None:
        """Create a link `name` below the directory to the mapped file `path`; do nothing if one of them is invalid."""
        if path not in self._mapped or not _is_valid_name(name):
            return
        link = Path(object_paths.copy_path(str(self._directory), name))
        with suppress(OSError):
            if link.parent not in self._created:
                object_paths.make_parents(link, self._group, self._directory)
                self._created.add(link.parent)
            if self._tree:
                os.link(object_paths.copy_path(str(self._tree), path), link, follow_symlinks=False)
            else:
                os.symlink(path, link)


def _is_valid_name(name: str) -> bool:
    """Return whether a name is an absolute, normalized path of limited length and depth."""
    if not name.startswith("/") or name != os.path.normpath(name) or "\0" in name:
        return False
    return len(name) <= _MAX_NAME_LENGTH and name.count("/") <= _MAX_DEPTH


@contextmanager
def serve_objects(
    copies: Path, group: int, backtrace_written: Callable[[], None] = lambda: None
) -> Iterator[ObjectServer]:
    """Yield a server with a new empty directory in `copies` that `group` can read; it offers nothing yet.

    The directory has a random name, which therefore does not occur in the core's memory.
    """
    directory = copies / files.random_name()
    files.make_directory(directory, group=group)
    server = ObjectServer(directory, group, backtrace_written)
    try:
        yield server
    finally:
        server.close()
