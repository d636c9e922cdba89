"""The commands with which README sets astbtd up: in a booted container and in a bare chroot of Debian 12 and 13."""

import re
import subprocess
import tempfile
from collections.abc import Iterator

import pytest

from tests.support.containers.container import Container
from tests.support.containers.image import BOOKWORM, CHECKOUT, TRIXIE, Suite, cached_image, images_directory
from tests.support.containers.service import Service

_SOURCES = "/usr/src/astbtd"
_PARTS = ("Makefile", "astbtd", "completions", "etc", "man", "packaging")

# Run a script in a chroot on an overlay of an image, with nothing but /proc and /dev.
_IN_BARE_CHROOT = r"""
image=$1 scratch=$2 checkout=$3 script=$4; shift 4
mount -t tmpfs tmpfs "$scratch"; mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
mount -t overlay -o "lowerdir=$image,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$scratch/root"
mount --bind /proc "$scratch/root/proc"
mount --bind /dev "$scratch/root/dev"
mkdir -p "$scratch/root/usr/src/astbtd"
for part; do cp -r "$checkout/$part" "$scratch/root/usr/src/astbtd/"; done
exec env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
    chroot "$scratch/root" sh -exc "cd /usr/src/astbtd; $script"
"""


def readme_commands() -> str:
    """Return the commands that README gives for other systems, as one script."""
    section = (CHECKOUT / "README.md").read_text().partition("## Install it")[2].partition("\n## ")[0]
    commands = re.findall(r"^    (.+)$", section.partition("On other systems:")[2], re.MULTILINE)
    assert commands[0].startswith("apt-get install ")
    return "\n".join(commands).replace("apt-get install", "apt-get install --yes --no-download")


@pytest.fixture(params=[BOOKWORM, TRIXIE], ids=lambda suite: suite.name)
def suite(request: pytest.FixtureRequest) -> Suite:
    chosen = request.param
    assert isinstance(chosen, Suite)
    return chosen


@pytest.fixture
def container(suite: Suite) -> Iterator[Container]:
    with Container.booted(suite) as container:
        yield container


def test_in_a_booted_container_the_service_runs_afterwards(container: Container) -> None:
    for part in _PARTS:
        container.copy_in(CHECKOUT / part, f"{_SOURCES}/{part}")

    container.run("sh", "-exc", f"cd {_SOURCES}; {readme_commands()}", timeout=300)

    service = Service(container)
    assert service.property("ActiveState") == "active"
    assert service.property("UnitFileState") == "enabled"
    assert service.unit_warnings() == ""


def test_in_a_bare_chroot_the_service_is_ready_for_the_next_boot(suite: Suite) -> None:
    script = (
        f"{readme_commands().replace('enable --now', 'enable')}\n"  # nothing can be started in a chroot
        "readlink /etc/systemd/system/multi-user.target.wants/astbtd.service"
    )
    with tempfile.TemporaryDirectory(prefix="chroot-", dir=images_directory()) as scratch:
        arguments = (cached_image(suite), scratch, CHECKOUT, script, *_PARTS)
        command = ("unshare", "--mount", "--net", "sh", "-ec", _IN_BARE_CHROOT, "sh", *arguments)
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "/usr/local/lib/systemd/system/astbtd.service"
