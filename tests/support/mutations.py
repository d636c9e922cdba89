"""Damages good input the way a fuzzer does: bits, bytes, numbers at their edges, pieces lost, doubled and spliced."""

from collections.abc import Sequence

from hypothesis import strategies as st

_EDGES = tuple(
    number.to_bytes(width, "little")
    for width in (2, 4, 8)
    for number in (0, 1, (1 << (8 * width - 1)) - 1, 1 << (8 * width - 1), (1 << (8 * width)) - 1)
)
_AWKWARD = (b"\0", b"\n", b"\r\n", b"\x1b[2J", b"../", b"%", b'"', b"'", b"{", b"}", b"\xff", "\u202e".encode())


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds, damaged in up to a dozen places."""
    data = bytearray(draw(st.sampled_from(seeds)))
    for _ in range(draw(st.integers(0, 12))):
        at = draw(st.integers(0, len(data)))
        _damage(draw, data, at, seeds)
    return bytes(data)


def _damage(draw: st.DrawFn, data: bytearray, at: int, seeds: Sequence[bytes]) -> None:
    kind = draw(st.sampled_from(("junk", "edge", "awkward", "cut", "double", "splice", "end")))
    if kind == "end":
        del data[at:]
    elif kind == "cut":
        del data[at : at + draw(st.integers(1, 64))]
    elif kind == "double":
        data[at:at] = data[at : at + draw(st.integers(1, 64))]
    elif kind == "splice":
        other = draw(st.sampled_from(seeds))
        data[at:] = other[draw(st.integers(0, len(other))) :]
    else:
        junk = draw(
            {"junk": st.binary(max_size=16), "edge": st.sampled_from(_EDGES)}.get(kind, st.sampled_from(_AWKWARD))
        )
        data[at : at + len(junk)] = junk
