"""Send HTTP requests to one server, with a time limit for each, and read a limited part of its answers.

Certificates are verified. Redirections are not followed: the request has a key, which is meant for this server only. No
proxy is used.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from astbtd.errors import AstbtdError
from astbtd.lib.escaping import printable_line

LARGEST_ANSWER = 1 << 16
"""How much of an answer is read, in bytes."""


@dataclass(frozen=True)
class Server:
    """A server. `timeout` is for a request, in seconds. `ca_file` has the certificates to trust, None: the system's."""

    host: str
    port: int | None
    encrypted: bool
    timeout: float
    ca_file: str | None = None


@dataclass(frozen=True)
class Answer:
    """An answer. The names of `headers` are in lower case; `body` has at most LARGEST_ANSWER bytes."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Unreachable(AstbtdError):
    """There was no answer: no such name, no connection, a wrong certificate, no HTTP, or not in time."""


class HttpConnection:
    """A connection that is opened by the first request, and again by a request after a failed one."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._connection = _TlsConnection(server) if server.encrypted else _plain_connection(server)

    def post(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Send a request and return the answer. Raise Unreachable."""
        try:
            with self._limited_time():
                return self._post(path, headers, body)
        except (OSError, http.client.HTTPException, UnicodeError) as error:
            self.close()
            raise Unreachable(f"{self._server.host}: {self._explain(error)}") from error

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _post(self, path: str, headers: Mapping[str, str], body: bytes) -> Answer:
        self._connection.request("POST", path, body, dict(headers))
        response = self._connection.getresponse()
        content = response.read(LARGEST_ANSWER)
        if not response.isclosed():  # the rest would be taken for the next answer
            self.close()
        return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, content)

    @contextmanager
    def _limited_time(self) -> Iterator[None]:
        """Disconnect when the time is over, and raise TimeoutError.

        A timeout of a socket is not enough: it starts again with every byte that is received.
        """
        expired = threading.Event()

        def disconnect() -> None:
            expired.set()
            with suppress(OSError):
                # Not SSLSocket.shutdown, which changes the object that another thread is using.
                if self._connection.sock is not None:
                    socket.socket.shutdown(self._connection.sock, socket.SHUT_RDWR)

        timer = threading.Timer(self._server.timeout, disconnect)
        timer.daemon = True
        timer.start()
        try:
            if self._connection.sock is None:
                self._connection.connect()
            if not expired.is_set():
                yield
        finally:
            timer.cancel()
            if expired.is_set():  # what was read until then may look like an answer
                raise TimeoutError

    def _explain(self, error: Exception) -> str:
        if isinstance(error, TimeoutError):
            return f"no answer within {self._server.timeout:g} s"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted: {error.verify_message}"
        if isinstance(error, socket.gaierror):
            return f"the name cannot be resolved: {error.strerror}"
        if isinstance(error, UnicodeError):  # an empty or a long label
            return "this is not a valid name"
        return printable_line(str(error) or type(error).__name__)


class _TlsConnection(http.client.HTTPSConnection):
    """A connection with TLS that can be shut down during the handshake."""

    def __init__(self, server: Server) -> None:
        self._tls = ssl.create_default_context(cafile=server.ca_file)
        super().__init__(server.host, server.port, timeout=server.timeout, context=self._tls)

    def connect(self) -> None:
        http.client.HTTPConnection.connect(self)
        self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host, do_handshake_on_connect=False)
        self.sock.do_handshake()


def _plain_connection(server: Server) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(server.host, server.port, timeout=server.timeout)
