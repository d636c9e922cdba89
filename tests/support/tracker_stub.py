"""A server in the place of an error tracker that misbehaves on cue, with and without TLS, on the loopback interface."""

import gzip
import json
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

KEY = "7a5e1d9c" * 4


@dataclass(frozen=True)
class Reply:
    """An answer. A `body` of None is the acknowledgement of the event that was sent."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


class Misbehaviour(Enum):
    """What a server does instead of answering."""

    SILENT = "it reads the request and never answers"
    SLOW = "it sends a byte at a time, for ever"
    ENDS = "it closes the connection"
    NO_HTTP = "it answers in another protocol"
    ENDLESS = "its answer never ends"


@dataclass(frozen=True)
class Received:
    """A request: `raw` is what was on the wire after TLS, `envelope` its body, unpacked."""

    path: str
    headers: Mapping[str, str]
    raw: bytes
    envelope: bytes

    @property
    def items(self) -> list[tuple[dict[str, object], bytes]]:
        """The header and the content of each item of the envelope."""
        _, rest = self.envelope.split(b"\n", 1)
        found = []
        while rest:
            header, rest = rest.split(b"\n", 1)
            size = json.loads(header)["length"]
            found.append((json.loads(header), rest[:size]))
            rest = rest[size + 1 :]
        return found

    @property
    def event(self) -> dict[str, Any]:
        """The event."""
        (event,) = (json.loads(content) for header, content in self.items if header["type"] == "event")
        assert isinstance(event, dict)
        return event

    @property
    def acknowledgement(self) -> bytes:
        """What an error tracker answers when it has the event."""
        return json.dumps({"id": self.event["event_id"]}).encode()


@dataclass
class TrackerStub:
    """A server whose answers a test decides: each of `replies` once, then acknowledgements."""

    port: int
    scheme: str
    replies: list[Reply | Misbehaviour] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def dsn(self) -> str:
        """The DSN of its only project."""
        return f"{self.scheme}://{KEY}@localhost:{self.port}/7"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stub: TrackerStub

    def do_POST(self) -> None:
        """Keep the request, and answer as the test decided."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        request = f"{self.requestline}\r\n{self.headers}".encode()
        envelope = gzip.decompress(body) if body else b""
        received = Received(self.path, dict(self.headers.items()), request + body, envelope)
        self.stub.received.append(received)
        reply = self.stub.replies.pop(0) if self.stub.replies else Reply()
        try:
            if isinstance(reply, Reply):
                self._answer(reply, received)
            else:
                self._misbehave(reply)
        except OSError:  # the client has enough
            self.close_connection = True

    def _answer(self, reply: Reply, received: Received) -> None:
        body = received.acknowledgement if reply.body is None else reply.body
        self.send_response(reply.status)
        for name, value in {"Content-Length": str(len(body)), **reply.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _misbehave(self, how: Misbehaviour) -> None:
        self.close_connection = True
        if how is Misbehaviour.SILENT:
            self.stub.stopping.wait()
        elif how is Misbehaviour.SLOW:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while not self.stub.stopping.wait(0.05):
                self.wfile.write(b"x")
        elif how is Misbehaviour.NO_HTTP:
            self.wfile.write(b"220 mail.example.org ESMTP\r\n")
        elif how is Misbehaviour.ENDLESS:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            while not self.stub.stopping.is_set():
                self.wfile.write(bytes(1 << 20))

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def tracker_stub(tls: Path | None = None) -> Iterator[TrackerStub]:
    """Run such a server for the duration of a block. `tls` is the directory of `make_certificate`."""
    stub = TrackerStub(0, "https" if tls else "http")
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"stub": stub}))
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients that refuse the certificate
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tls / "certificate.pem", tls / "key.pem")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    stub.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield stub
    finally:
        stub.stopping.set()
        server.shutdown()
        thread.join()
        server.server_close()


def make_certificate(directory: Path, name: str = "localhost") -> Path:
    """Create a self-signed certificate for a name, and its key, in a new directory. Return the directory."""
    directory.mkdir()
    files = ["-keyout", f"{directory}/key.pem", "-out", f"{directory}/certificate.pem"]
    subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    return directory


@contextmanager
def silent_port() -> Iterator[int]:
    """Provide a port on which connections are accepted by the kernel and nothing answers, not even a TLS handshake."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]
