"""A web server on the loopback interface that receives what apprise sends, and answers as a test says."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Webhook:
    """What was received, as bytes: bodies, and everything with the headers. `status` is that of the answers."""

    port: int = 0
    status: int = 200
    bodies: list[bytes] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)


@contextmanager
def running_webhook(port: int = 0) -> Iterator[Webhook]:
    """Run such a server for the duration of a block, at a free port by default."""
    webhook = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if webhook.status == 200:
                webhook.bodies.append(body)
            webhook.received.append(self.requestline.encode() + bytes(self.headers) + body)
            self.send_response(webhook.status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    webhook.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield webhook
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
