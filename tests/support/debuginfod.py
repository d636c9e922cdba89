"""Servers of debug files on the loopback interface: Debian's debuginfod, and one that misbehaves on cue."""

import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.support.harness import TIMEOUT

_CHUNK = bytes(1 << 20)
_ENDLESS_CHUNKS = 10 << 10


@dataclass
class MisbehavingServer:
    """A server whose answers a test decides. `paths` are those that it was asked for.

    `silent`: it never answers. `content`: what it answers, None for 404. `endless`: it sends 10 GB of zeros, without
    saying so before.
    """

    address: str = ""
    content: bytes | None = None
    silent: bool = False
    endless: bool = False
    paths: list[str] = field(default_factory=list)
    headers: list[str] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request."""
        self.paths.append(request.path)
        self.headers.append(str(request.headers))
        if self.silent:
            self._stopping.wait()
            return
        request.send_response(200 if self.endless or self.content is not None else 404)
        request.end_headers()
        try:
            for _ in range(_ENDLESS_CHUNKS if self.endless else 0):
                request.wfile.write(_CHUNK)
            request.wfile.write(self.content or b"")
        except OSError:  # the client has enough
            return

    def stop(self) -> None:
        """Let a silent server end its requests."""
        self._stopping.set()


@contextmanager
def misbehaving_server() -> Iterator[MisbehavingServer]:
    """Run such a server for the duration of a block."""
    behaviour = MisbehavingServer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            behaviour.answer(self)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    behaviour.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield behaviour
    finally:
        behaviour.stop()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def real_server(files: Path) -> Iterator[str]:
    """Run Debian's debuginfod on a directory for the duration of a block; yield its address when it has read all."""
    port = _free_port()
    command = ["debuginfod", "-v", "--database=:memory:", f"--port={port}", "--scan-file-dir", str(files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        give_up = threading.Timer(TIMEOUT, process.kill)
        give_up.start()
        try:
            assert process.stdout is not None
            logged = iter(process.stdout.readline, "")
            assert any("groomed database" in line for line in logged), "debuginfod ended"
            give_up.cancel()
            threading.Thread(target=process.stdout.read, daemon=True).start()  # so that it never blocks on the pipe
            yield f"http://127.0.0.1:{port}"
        finally:
            give_up.cancel()
            process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
