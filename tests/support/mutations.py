"""Damages valid input as a fuzzer does: random bytes, extreme numbers, and pieces removed, repeated and spliced."""

from collections.abc import Sequence

from hypothesis import strategies as st

_EXTREME_NUMBERS = tuple(
    number.to_bytes(width, "little")
    for width in (2, 4, 8)
    for number in (0, 1, (1 << (8 * width - 1)) - 1, 1 << (8 * width - 1), (1 << (8 * width)) - 1)
)
_SPECIAL_TEXTS = (b"\0", b"\n", b"\r\n", b"\x1b[2J", b"../", b"%", b'"', b"'", b"{", b"}", b"\xff", "\u202e".encode())


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """Return one of the seeds with up to twelve mutations."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 12))):
        at = draw(st.integers(0, len(data)))
        _mutate(draw, data, at, seeds)
    return bytes(data)


def _mutate(draw: st.DrawFn, data: bytearray, at: int, seeds: Sequence[bytes]) -> None:
    kind = draw(st.sampled_from(("random", "number", "text", "remove", "repeat", "splice", "truncate")))
    if kind == "truncate":
        del data[at:]
    elif kind == "remove":
        del data[at : at + draw(st.integers(1, 64))]
    elif kind == "repeat":
        data[at:at] = data[at : at + draw(st.integers(1, 64))]
    elif kind == "splice":
        other = draw(st.sampled_from(seeds))
        data[at:] = other[draw(st.integers(0, len(other))) :]
    else:
        replacements = {
            "random": st.binary(max_size=16),
            "number": st.sampled_from(_EXTREME_NUMBERS),
            "text": st.sampled_from(_SPECIAL_TEXTS),
        }
        replacement = draw(replacements[kind])
        data[at : at + len(replacement)] = replacement
