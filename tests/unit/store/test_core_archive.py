"""Cores go into the store compressed and come out as they were, or not at all."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from astbtd.errors import AstbtdError, Interrupted
from astbtd.lib import sparse
from astbtd.store import core_archive

MIB = 1 << 20


def ignore(_: int) -> None:
    """Hears of progress and does nothing."""


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "core.zst"


@pytest.fixture
def sparse_core(tmp_path: Path) -> Iterator[int]:
    """A core of 40 MiB, nearly all holes."""
    with (tmp_path / "core").open("w+b") as file:
        os.pwrite(file.fileno(), os.urandom(5000), 0)
        os.pwrite(file.fileno(), b"middle", 20 * MIB + 7)
        os.ftruncate(file.fileno(), 40 * MIB)
        yield file.fileno()


def decompress(kept: Path, target: Path) -> Path:
    with target.open("w+b") as file:
        core_archive.decompress_core(kept, file.fileno(), ignore)
    return target


def test_a_sparse_core_is_restored_identical_and_sparse(sparse_core: int, kept: Path, tmp_path: Path) -> None:
    core_archive.compress_core(sparse_core, kept, ignore)

    with decompress(kept, tmp_path / "out").open("rb") as out:
        assert sparse.allocated_bytes(out.fileno()) < 4 * MIB
        assert out.read() == os.pread(sparse_core, 41 * MIB, 0)


def test_compressing_returns_the_compressed_size(sparse_core: int, kept: Path) -> None:
    assert core_archive.compress_core(sparse_core, kept, ignore) == kept.stat().st_size < MIB


def test_only_the_owner_can_read_a_kept_core(sparse_core: int, kept: Path) -> None:
    core_archive.compress_core(sparse_core, kept, ignore)

    assert kept.stat().st_mode & 0o777 == 0o600


@limits(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.binary(max_size=3000) | st.integers(0, 100_000).map(bytes), max_size=6))
def test_any_content_is_restored(tmp_path: Path, pieces: list[bytes]) -> None:
    content = b"".join(pieces)
    with os.fdopen(os.memfd_create("core"), "w+b") as core:
        core.write(content)
        core.flush()
        core_archive.compress_core(core.fileno(), tmp_path / "core.zst", ignore)

    assert decompress(tmp_path / "core.zst", tmp_path / "out").read_bytes() == content


def test_a_core_can_be_decompressed_into_a_pipe(memory_file: Callable[[bytes], int], kept: Path) -> None:
    core_archive.compress_core(memory_file(b"core" + bytes(1000)), kept, ignore)
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as reading, os.fdopen(writer, "wb") as writing:
        assert core_archive.decompress_core(kept, writing.fileno(), ignore) == 1004
        writing.close()

        assert reading.read() == b"core" + bytes(1000)


def test_a_core_appended_to_a_file_does_not_change_its_content(sparse_core: int, kept: Path, tmp_path: Path) -> None:
    core_archive.compress_core(sparse_core, kept, ignore)
    (tmp_path / "log").write_bytes(b"before")
    with (tmp_path / "log").open("ab") as log:
        size = core_archive.decompress_core(kept, log.fileno(), ignore)

    content = (tmp_path / "log").read_bytes()
    assert content[:6] == b"before"
    assert content[6:] == os.pread(sparse_core, size, 0)


def test_progress_is_reported_to_the_end(sparse_core: int, kept: Path, tmp_path: Path) -> None:
    reported: list[int] = []
    core_archive.compress_core(sparse_core, kept, reported.append)
    with (tmp_path / "out").open("w+b") as out:
        core_archive.decompress_core(kept, out.fileno(), reported.append)

    assert reported.count(40 * MIB) == 2


def test_compressing_runs_at_idle_priority(sparse_core: int, kept: Path) -> None:
    policies: set[int] = set()

    core_archive.compress_core(sparse_core, kept, lambda _: policies.add(os.sched_getscheduler(0)))

    assert policies == {os.SCHED_IDLE}
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_a_core_truncated_meanwhile_ends_in_zeros(kept: Path, tmp_path: Path) -> None:
    with (tmp_path / "core").open("w+b") as core:
        core.write(b"x" * MIB)
        core.flush()
        core_archive.compress_core(core.fileno(), kept, lambda _: os.truncate(core.fileno(), MIB // 2 - 1000))

    content = decompress(kept, tmp_path / "out").read_bytes()
    assert content == (b"x" * (MIB // 2 - 1000)).ljust(MIB, b"\0")


def test_a_stopped_compression_leaves_no_file(sparse_core: int, kept: Path) -> None:
    def stop(_: int) -> None:
        raise Interrupted("the daemon stops")

    with pytest.raises(Interrupted):
        core_archive.compress_core(sparse_core, kept, stop)

    assert os.listdir(kept.parent) == ["core"]


def test_compressing_replaces_what_a_killed_attempt_left(memory_file: Callable[[bytes], int], kept: Path) -> None:
    kept.with_name(".core.zst.new").write_bytes(b"half")

    core_archive.compress_core(memory_file(b"core"), kept, ignore)

    assert os.listdir(kept.parent) == ["core.zst"]


def damaged(kept: Path, damage: Callable[[bytes], bytes], tmp_path: Path) -> Path:
    kept.write_bytes(damage(kept.read_bytes()))
    return decompress(kept, tmp_path / "out")


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"no frame at all",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-40],
        lambda data: data[:-4],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: data[:6],
        lambda data: data[:1000] + b"\xff" * 64 + data[1064:],
    ],
    ids=[
        "empty",
        "other",
        "half",
        "end missing",
        "no checksum",
        "half a checksum",
        "longer",
        "header only",
        "overwritten",
    ],
)
def test_a_damaged_file_is_an_error(
    sparse_core: int, kept: Path, tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    core_archive.compress_core(sparse_core, kept, ignore)

    with pytest.raises(AstbtdError, match="is damaged"):
        damaged(kept, damage, tmp_path)
