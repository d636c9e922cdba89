"""Compressed streams: known by their content, bounded, and whatever is wrong with them is said."""

import lzma
import os

import pytest
import zstandard

from astbtd.lib.sparse import CHUNK
from astbtd.sources.decompression import Compression, DamagedStream, decompressed, file_source, recognised
from tests.support.fixture_types import OpenFile
from tests.support.packed import COMPRESS

CONTENT = os.urandom(3 * CHUNK) + bytes(2 * CHUNK) + b"the end"


def content(packed: bytes, memory_file: OpenFile) -> bytes:
    kind = recognised(packed)
    assert kind is not None
    return b"".join(decompressed(kind, file_source(memory_file(packed))))


@pytest.fixture(params=COMPRESS)
def packed(request: pytest.FixtureRequest) -> bytes:
    """CONTENT, compressed in each way."""
    return COMPRESS[request.param](CONTENT)


def test_the_content_comes_out_as_it_went_in(packed: bytes, memory_file: OpenFile) -> None:
    assert content(packed, memory_file) == CONTENT


def test_frames_that_follow_each_other_are_one_content(packed: bytes, memory_file: OpenFile) -> None:
    assert content(packed + packed, memory_file) == CONTENT + CONTENT


def test_a_stream_cut_short_gives_what_it_has(packed: bytes, memory_file: OpenFile) -> None:
    found = content(packed[: len(packed) // 2], memory_file)

    assert CHUNK < len(found) < len(CONTENT)
    assert CONTENT.startswith(found)


@pytest.mark.parametrize("form", COMPRESS)
def test_however_much_comes_out_it_comes_in_blocks(form: str, memory_file: OpenFile) -> None:
    packed = COMPRESS[form](bytes(50 * CHUNK))
    kind = recognised(packed)
    assert kind is not None

    assert max(len(block) for block in decompressed(kind, file_source(memory_file(packed)))) <= CHUNK


@pytest.mark.parametrize("kind", Compression)
def test_a_stream_that_only_begins_well_is_damaged(kind: Compression, memory_file: OpenFile) -> None:
    with pytest.raises(DamagedStream):
        content(kind.value + b"\xff" * 100, memory_file)


def test_a_stream_that_wants_too_much_memory_is_not_read(memory_file: OpenFile) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    greedy = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=-1)
    hungry = lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 256 << 20}])

    for packed in (greedy.compress(bytes(1 << 20)) + greedy.flush(), hungry):
        with pytest.raises(DamagedStream):
            content(packed, memory_file)


@pytest.mark.parametrize("start", [b"", b"\x7fELF", b"PK\x03\x04", b"\x28\xb5"])
def test_other_content_is_not_compressed(start: bytes) -> None:
    assert recognised(start) is None
