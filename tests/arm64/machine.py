"""The emulated machine: Debian 12 on arm64 which runs tests of this checkout and prints the results.

It has two disks, the root file system and the checkout, and no network. What it writes is discarded when it ends.
"""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Timer
from typing import IO

from tests.arm64.in_machine import BUILT
from tests.arm64.root import INIT, INITRD, KERNEL
from tests.support.commands import built_name
from tests.support.containers.image import CHECKOUT
from tests.support.extractions import BUILD_OPTIONS

SECONDS = 4 * 3600
"""After which the machine is killed. The tests take much less, unless this machine is busy with other work."""

PROGRAMS = ("qemu-system-aarch64", "mkfs.ext4", "cpio", "git", "make", "setpriv", "aarch64-linux-gnu-gcc")
"""What this machine needs to emulate another."""

_ROOT_SIZE, _CHECKOUT_SIZE = "8G", "256M"
_MEMORY = "3072"  # MB
_PROCESSORS = 2
_PROCESSOR = "cortex-a72"
_COMPILER = "aarch64-linux-gnu-gcc"
_CONSOLE = "ttyAMA0"
# What slows emulation down and no test needs: defences against other programs, and addresses that differ for each
# process, for which qemu translates the same code again. Together they double the time.
_FASTER = "mitigations=off kpti=off nokaslr norandmaps apparmor=0 audit=0"
_START = "mkdir -p /srv && mount /dev/vdb /srv && cd /srv && python3 -m tests.arm64.in_machine"
_DONE = re.compile(r"^the tests in the machine have ended: exit status (\d+)\r?$", re.MULTILINE)


def run_tests(root: Path, output: IO[str], groups: tuple[str, ...], *, systemd: bool) -> int:
    """Boot a machine from a root file system and copy its console to `output`. Return the exit status of the tests.

    `groups` are the names of the groups of tests to run, `systemd` whether it is process 1. Raise RuntimeError.
    """
    with _scratch() as directory:
        disks = (_make_disk(root, directory / "root", _ROOT_SIZE), _make_checkout_disk(directory))
        with subprocess.Popen(
            _argv(root, disks, _init_arguments(groups, systemd=systemd)),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
        ) as machine:
            assert machine.stdout is not None
            too_late = Timer(SECONDS, machine.kill)
            too_late.start()
            try:
                status = _follow(machine.stdout, output)
            finally:
                too_late.cancel()
                machine.kill()
    if status is None:
        raise RuntimeError("the machine ended before its tests: see its console above")
    return status


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="astbtd-arm64-", dir="/var/tmp") as directory:
        yield Path(directory)


def _make_disk(content: Path, disk: Path, size: str) -> Path:
    command = ("mkfs.ext4", "-q", "-E", "lazy_itable_init=1", "-d", str(content), str(disk), size)
    subprocess.run(command, check=True)
    return disk


def _make_checkout_disk(directory: Path) -> Path:
    """Copy the files that git knows, with uncommitted changes."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    copy = directory / "copy"
    for name in filter(None, listed.split("\0")):
        if (CHECKOUT / name).exists():  # not removed since the last commit
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, copy / name)
    _build_programs(copy)
    subprocess.run(("/usr/bin/python3", "-m", "compileall", "-qq", str(copy)), check=False)
    return _make_disk(copy, directory / "checkout", _CHECKOUT_SIZE)


def _build_programs(checkout: Path) -> None:
    """Build the test programs with the cross compiler: in the machine it would take minutes."""
    for options in BUILD_OPTIONS.values():
        built = checkout / BUILT / built_name(options)
        command = ("make", "-s", "-C", str(checkout / "tests/programs"), f"BUILD={built}", f"CC={_COMPILER}", *options)
        subprocess.run(command, check=True)


def _init_arguments(groups: tuple[str, ...], *, systemd: bool) -> str:
    """Return what the kernel's command line says about process 1, and what that runs."""
    command = " ".join((_START, *groups))
    if systemd:
        return f"systemd.firstboot=off systemd.run=\"sh -c '{command}'\""
    return f"init={INIT} tests={command.replace(' ', '+')}"


def _argv(root: Path, disks: tuple[Path, ...], init_arguments: str) -> tuple[str, ...]:
    append = f"root=/dev/vda rw console={_CONSOLE} loglevel=4 nosoftlockup {_FASTER} {init_arguments}"
    drives = (f"file={disk},format=raw,if=virtio,snapshot=on" for disk in disks)
    return (
        # If the test run is killed, so is the machine.
        *("setpriv", "--pdeathsig=KILL"),
        *("qemu-system-aarch64", "-M", "virt", "-cpu", _PROCESSOR, "-smp", str(_PROCESSORS), "-m", _MEMORY),
        *("-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", "none", "-no-reboot"),
        *("-kernel", str(root / KERNEL), "-initrd", str(root / INITRD), "-append", append),
        *(word for drive in drives for word in ("-drive", drive)),
    )


def _follow(console: IO[str], output: IO[str]) -> int | None:
    """Copy the console until the machine is off. Return the exit status that the tests printed."""
    status = None
    for line in console:
        output.write(line)
        output.flush()
        if done := _DONE.match(line):
            status = int(done[1])
    return status
