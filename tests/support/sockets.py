"""Fills the queue of a datagram socket, as a stuck receiver does."""

import socket
from contextlib import suppress


def fill_queue(address: str, message: bytes) -> int:
    """Send a message to a Unix socket until its queue is full. Return how often.

    The send buffer of one socket may fill up first, if net.unix.max_dgram_qlen is large as under systemd. Therefore the
    queue counts as full only if a new socket cannot send at all.
    """
    total = 0
    while sent := _send_until_blocked(address, message):
        total += sent
    return total


def _send_until_blocked(address: str, message: bytes) -> int:
    sent = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(BlockingIOError):
        sender.setblocking(False)
        sender.connect(address)
        while True:
            sender.send(message)
            sent += 1
    return sent
