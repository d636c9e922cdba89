"""A stripped Asterisk on forky, and its debug files, which are not installed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.support.containers.asterisk import CRASH_MODULE, Asterisk
from tests.support.containers.container import Container, wait_until
from tests.support.containers.extended_image import cached_debug_debuginfod_image
from tests.support.containers.machine import Machine
from tests.support.containers.service import STORE, Service

DEBUG_FILES = "/srv/debug"
SERVER = "http://127.0.0.1:8002"
_LIBRARIES = "/usr/lib/x86_64-linux-gnu"
_STRIPPED = f"/usr/sbin/asterisk {_LIBRARIES}/libasterisk*.so.? {_LIBRARIES}/asterisk/modules/*.so"
_FLAGS = "CFLAGS=-g -O0 -fPIC -Wl,--build-id -I/usr/src/asterisk/include"  # the headers of this build

# Moves the debug information of the program and the modules into files, as a distribution does.
_STRIP = f"""
mkdir -p {DEBUG_FILES}
for file in {_STRIPPED}; do
    objcopy --only-keep-debug $file {DEBUG_FILES}/${{file##*/}}.debug
    strip --strip-all -o $file.stripped $file && mv $file.stripped $file
done
"""
_INSTALL = f"""
for file in {DEBUG_FILES}/*.debug; do
    id=$(readelf --notes $file | sed -n 's/.*Build ID: //p')
    install -D -m 644 $file /usr/lib/debug/.build-id/$(echo $id | cut -c 1-2)/$(echo $id | cut -c 3-).debug
done
"""
# Another build: the same code with another build id. The files are renamed into place, as packages do it.
_REPLACE = f"""
for file in {_STRIPPED}; do
    head -c 20 /dev/urandom >/tmp/id
    objcopy --dump-section .note.gnu.build-id=/tmp/note $file /dev/null
    head -c 16 /tmp/note >/tmp/new && cat /tmp/id >>/tmp/new
    objcopy --update-section .note.gnu.build-id=/tmp/new $file $file.new && mv $file.new $file
done
"""


@dataclass(frozen=True)
class StrippedAsterisk:
    """A machine on which program and modules have no symbols, and astbtd runs."""

    machine: Machine

    def serve_debug_files(self) -> None:
        """Start Debian's debuginfod on the loopback interface, and wait until it knows the debug files."""
        server = ("systemd-run", "--unit=debuginfod", "debuginfod", "-v", "--database=:memory:", "--scan-file-dir")
        self._run(*server, DEBUG_FILES)
        groomed = ("journalctl", "--unit=debuginfod", "--grep=groomed database")
        is_ready = lambda: not self.machine.container.run(*groomed, check=False).returncode  # noqa: E731 - it is short
        wait_until(is_ready, "the server has read the files", 120)

    def install_debug_files(self) -> None:
        """Install the debug files below /usr/lib/debug, as a package does."""
        self._run("sh", "-ec", _INSTALL)

    def replace_by_another_build(self) -> None:
        """Replace program and modules on disk, as an upgrade does."""
        self._run("sh", "-ec", _REPLACE)

    def kept_objects(self) -> set[str]:
        """Return the build ids of the objects that astbtd keeps."""
        listed = self.machine.container.run("find", f"{STORE}/objects", "-name", "*.zst", "-printf", "%f\n").stdout
        return {name.removesuffix(".zst") for name in listed.split()}

    def _run(self, *argv: str) -> None:
        self.machine.container.run(*argv, timeout=300)


@contextmanager
def booted_stripped() -> Iterator[StrippedAsterisk]:
    """Boot a machine with a stripped Asterisk for the duration of a block; its debug files are in DEBUG_FILES."""
    with Container.booted(image=cached_debug_debuginfod_image()) as container:
        machine = Machine(container, Asterisk(container), Service(container))
        container.copy_in(CRASH_MODULE, f"/usr/src/{CRASH_MODULE.name}")
        container.run("make", f"--directory=/usr/src/{CRASH_MODULE.name}", "install", _FLAGS)
        container.run("sh", "-ec", _STRIP, timeout=300)
        machine.asterisk.restart()
        machine.asterisk.console("module load res_astbtd_crash.so")
        machine.service.install()
        machine.service.start()
        yield StrippedAsterisk(machine)
