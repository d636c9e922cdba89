"""Headless Chromium for tests of pages: the document that it makes of a page, its requests, and pictures of it."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CHROMIUM = shutil.which("chromium")
_OPTIONS = (
    "--headless",
    "--no-sandbox",  # which does not work for root
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
_OWN_REQUEST = re.compile(r"\S+ (?:https?://)?[\w.-]+\.(?:google|googleapis|gstatic|gvt1)\.com[:/ ]")
"""A request that the browser sends by itself, for example for the time. No page of a test names such a host."""
_TIMEOUT = 300  # seconds; a loaded machine is slow
_DARK, _LIGHT = 0, 1  # blink's numbers


class RequestLog:
    """A server that every request of the browser is sent to. It answers none, and tells which the page caused."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1]

    def requests(self) -> list[str]:
        """Return the first line of each request of the page so far."""
        lines: list[str] = []
        while True:
            try:
                connection, _ = self._socket.accept()
            except BlockingIOError:
                return [line for line in lines if not _OWN_REQUEST.match(line)]
            with connection:
                connection.settimeout(1)
                lines.append(connection.recv(4096).split(b"\r\n")[0].decode(errors="replace"))

    def close(self) -> None:
        self._socket.close()


@contextmanager
def request_log() -> Iterator[RequestLog]:
    """Provide a RequestLog while the block runs."""
    log = RequestLog()
    try:
        yield log
    finally:
        log.close()


def render_dom(page: Path, log: RequestLog) -> str:
    """Return the document that the browser made of a page, after its scripts, if any, ran."""
    proxy = (f"--proxy-server=127.0.0.1:{log.port}", "--proxy-bypass-list=<-loopback>", "--timeout=3000")
    return _run(*proxy, "--dump-dom", page.as_uri()).decode()


def render_site(address: str) -> str:
    """Return the document that the browser made of a page of a server on the loopback interface."""
    return _run("--timeout=60000", "--dump-dom", address).decode()


def take_picture(page: Path, picture: Path, width: int, height: int, *, dark: bool) -> None:
    """Write a PNG of a page as shown by a window of this size."""
    scheme = _DARK if dark else _LIGHT
    size = f"--window-size={width},{height}"
    _run(f"--blink-settings=preferredColorScheme={scheme}", size, f"--screenshot={picture}", page.as_uri())


def _run(*arguments: str) -> bytes:
    assert CHROMIUM, "chromium is not installed"
    with tempfile.TemporaryDirectory() as profile:
        command: Sequence[str] = (CHROMIUM, *_OPTIONS, f"--user-data-dir={profile}", *arguments)
        environment = {"PATH": os.environ["PATH"], "HOME": profile}
        done = subprocess.run(command, capture_output=True, env=environment, check=True, timeout=_TIMEOUT)
        return done.stdout
