"""A real Postfix on the loopback interface, with a configuration, a queue and a mailbox of its own, without DNS."""

import mailbox
import os
import pwd
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

from tests.support.harness import TIMEOUT

DOMAIN = "pbx.test"
RECIPIENT = f"ops@{DOMAIN}"

_MAIN = """\
compatibility_level = 3.6
maillog_file = /dev/stdout
queue_directory = {root}/queue
data_directory = {root}/data
inet_interfaces = loopback-only
inet_protocols = ipv4
myhostname = mail.{domain}
mydestination =
mynetworks = 127.0.0.0/8
disable_dns_lookups = yes
smtp_host_lookup = native
alias_maps =
alias_database =
local_recipient_maps =
virtual_mailbox_domains = {domain}
virtual_mailbox_base = {root}/mail
virtual_mailbox_maps = inline:{{ {{ {recipient} = box }} }}
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_peername_lookup = no
smtpd_tls_security_level = may
smtpd_tls_chain_files = {root}/server.pem
"""
_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass
class Postfix:
    """A running Postfix that listens on `port`, and the lines that it has logged."""

    root: Path
    port: int
    logged: list[str]
    _news: threading.Condition

    def mails(self) -> list[EmailMessage]:
        """Return the mails in the mailbox, as they were received."""
        box = mailbox.mbox(self.root / "mail/box", create=False)
        parser = BytesParser(_class=EmailMessage, policy=policy.default)
        return [parser.parsebytes(box.get_bytes(key)) for key in box.keys()]  # noqa: SIM118 # an mbox, not a dict

    def received(self) -> bytes:
        """Return all bytes that were received."""
        return (self.root / "mail/box").read_bytes()

    def wait_for_mails(self, *subjects: str) -> list[EmailMessage]:
        """Wait until there is a mail with each of these texts in its subject; return all such mails."""
        self._wait(lambda: all(map(self._with_subject, subjects)), f"mails: {subjects}")
        return [mail for subject in subjects for mail in self._with_subject(subject)]

    def _with_subject(self, text: str) -> list[EmailMessage]:
        if not (self.root / "mail/box").exists():
            return []
        return [mail for mail in self.mails() if text in str(mail["Subject"])]

    def wait_for(self, text: str, times: int = 1) -> None:
        """Wait until this text was logged so often."""
        self._wait(lambda: sum(text in line for line in self.logged) >= times, text)

    def _wait(self, condition: Callable[[], bool], what: str) -> None:
        with self._news:
            assert self._news.wait_for(condition, TIMEOUT), f"{what!r} was not logged: {''.join(self.logged)}"

    def read(self, lines: Iterator[str]) -> None:
        """Read the log until it ends."""
        for line in lines:
            with self._news:
                self.logged.append(line)
                self._news.notify_all()


def make_certificate(file: Path, *names: str) -> Path:
    """Write a private key and a self-signed certificate for these names into one file."""
    alternatives = ",".join(f"DNS:{name}" for name in names)
    key = file.with_suffix(".key")
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "9", "-subj", f"/CN={names[0]}", "-addext", f"subjectAltName={alternatives}"]
    subprocess.run([*command, "-keyout", key, "-out", file], check=True, capture_output=True)
    file.write_bytes(key.read_bytes() + file.read_bytes())
    return file


@contextmanager
def running_postfix(root: Path, certificate_names: Sequence[str] = ("localhost",)) -> Iterator[Postfix]:
    """Run Postfix in the directory `root` for the duration of a block."""
    user = pwd.getpwnam("postfix")
    port = _free_port()
    for name in ("queue", "data", "mail", "config"):
        (root / name).mkdir(parents=True)
    for name in ("data", "mail"):
        os.chown(root / name, user.pw_uid, user.pw_gid)
    make_certificate(root / "server.pem", *certificate_names)
    values = {"root": root, "domain": DOMAIN, "recipient": RECIPIENT, "uid": user.pw_uid, "gid": user.pw_gid}
    (root / "config/main.cf").write_text(_MAIN.format(**values))
    (root / "config/master.cf").write_text(_MASTER.format(port=port))
    command = ["postfix", "-c", str(root / "config"), "start-fg"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        running = Postfix(root, port, [], threading.Condition())
        reader = threading.Thread(target=running.read, args=(iter(process.stdout.readline, ""),))
        reader.start()
        try:
            running.wait_for("daemon started")
            yield running
        finally:
            subprocess.run(["postfix", "-c", str(root / "config"), "stop"], capture_output=True, check=False)
            process.kill()
            reader.join()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
