"""An SMTP server that misbehaves on cue: it answers each command as a test says, keeps silent, or closes."""

import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

SILENCE = "silence"
CLOSE = "close"

_ANSWERS = {
    "connect": "220 ready",
    "EHLO": "250-mail.test\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN",
    "HELO": "250 mail.test",
    "STARTTLS": "220 go ahead",
    "AUTH": "235 welcome",
    "MAIL": "250 sender ok",
    "RCPT": "250 recipient ok",
    "DATA": "354 go on",
    "end": "250 queued as 42",
    "RSET": "250 forgotten",
    "QUIT": "221 bye",
}
"""How it answers by default: the greeting, each command, and the end of a mail."""


@dataclass
class SmtpServer:
    """The server, and what it got. `answers` are those that differ from the usual ones: SILENCE and CLOSE are two."""

    port: int = 0
    answers: Mapping[str, str] = field(default_factory=dict)
    certificate: Path | None = None
    mails: list[bytes] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def answer(self, command: str) -> str:
        """Return the answer to a command."""
        return self.answers.get(command, _ANSWERS.get(command, "502 unknown"))


class _Session(socketserver.StreamRequestHandler):
    """One connection."""

    behaviour: SmtpServer

    def handle(self) -> None:
        """Answer until the client or the server closes."""
        try:
            self._serve()
        except OSError:  # the client has closed
            return

    def _serve(self) -> None:
        if not self._reply("connect"):
            return
        while line := self.rfile.readline():  # which another file replaces when the connection is encrypted
            text = line.decode(errors="replace").strip()
            self.behaviour.commands.append(text)
            verb = text.partition(" ")[0].upper()
            if not self._reply(verb) or verb == "QUIT":
                return
            if verb == "STARTTLS":
                self._encrypt()
            if verb == "DATA" and self.behaviour.answer("DATA").startswith("354") and not self._receive():
                return

    def _receive(self) -> bool:
        lines = []
        for line in iter(self.rfile.readline, b".\r\n"):
            if not line:
                return False
            lines.append(line)
        self.behaviour.mails.append(b"".join(lines))
        return self._reply("end")

    def _reply(self, command: str) -> bool:
        """Answer; return False if the connection is to be closed."""
        answer = self.behaviour.answer(command)
        if answer == SILENCE:
            self.behaviour.stopping.wait()
        if answer in (SILENCE, CLOSE):
            return False
        self.wfile.write(f"{answer}\r\n".encode())
        return not answer.startswith("421")

    def _encrypt(self) -> None:
        assert self.behaviour.certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.behaviour.certificate)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    address_family = socket.AF_INET


@contextmanager
def misbehaving_smtp_server(
    answers: Mapping[str, str] | None = None, certificate: Path | None = None, port: int = 0
) -> Iterator[SmtpServer]:
    """Run such a server on the loopback interface for the duration of a block."""
    behaviour = SmtpServer(answers={} if answers is None else answers, certificate=certificate)
    handler = type("Session", (_Session,), {"behaviour": behaviour})
    with _Server(("127.0.0.1", port), handler) as server:
        behaviour.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield behaviour
        finally:
            behaviour.stopping.set()
            server.shutdown()
            thread.join()
