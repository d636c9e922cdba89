"""Compressed streams: detected from the content, decompressed in bounded memory, invalid ones reported."""

import lzma
import os

import pytest
import zstandard

from astbtd.lib.decompression import Compression, DamagedStream, decompress, detect, file_reader
from astbtd.lib.sparse import CHUNK
from tests.support.fixture_types import OpenFile
from tests.support.packed import COMPRESS

CONTENT = os.urandom(3 * CHUNK) + bytes(2 * CHUNK) + b"the end"


def decompress_all(packed: bytes, memory_file: OpenFile) -> bytes:
    compression = detect(packed)
    assert compression is not None
    return b"".join(decompress(compression, file_reader(memory_file(packed))))


@pytest.fixture(params=COMPRESS)
def packed(request: pytest.FixtureRequest) -> bytes:
    """CONTENT in each compression format."""
    return COMPRESS[request.param](CONTENT)


def test_the_content_is_decompressed_unchanged(packed: bytes, memory_file: OpenFile) -> None:
    assert decompress_all(packed, memory_file) == CONTENT


def test_frames_that_follow_each_other_are_one_decompress_all(packed: bytes, memory_file: OpenFile) -> None:
    assert decompress_all(packed + packed, memory_file) == CONTENT + CONTENT


def test_a_truncated_stream_yields_its_beginning(packed: bytes, memory_file: OpenFile) -> None:
    found = decompress_all(packed[: len(packed) // 2], memory_file)

    assert CHUNK < len(found) < len(CONTENT)
    assert CONTENT.startswith(found)


@pytest.mark.parametrize("form", COMPRESS)
def test_highly_compressible_content_is_yielded_in_blocks(form: str, memory_file: OpenFile) -> None:
    packed = COMPRESS[form](bytes(50 * CHUNK))
    compression = detect(packed)
    assert compression is not None

    assert max(len(block) for block in decompress(compression, file_reader(memory_file(packed)))) <= CHUNK


@pytest.mark.parametrize("kind", Compression)
def test_invalid_data_after_the_magic_number_is_reported(kind: Compression, memory_file: OpenFile) -> None:
    with pytest.raises(DamagedStream):
        decompress_all(kind.value + b"\xff" * 100, memory_file)


def test_a_stream_that_needs_too_much_memory_is_refused(memory_file: OpenFile) -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=28)
    greedy = zstandard.ZstdCompressor(compression_params=parameters).compressobj(size=-1)
    hungry = lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 256 << 20}])

    for packed in (greedy.compress(bytes(1 << 20)) + greedy.flush(), hungry):
        with pytest.raises(DamagedStream):
            decompress_all(packed, memory_file)


@pytest.mark.parametrize("start", [b"", b"\x7fELF", b"PK\x03\x04", b"\x28\xb5"])
def test_other_content_is_not_detected_as_compressed(start: bytes) -> None:
    assert detect(start) is None
