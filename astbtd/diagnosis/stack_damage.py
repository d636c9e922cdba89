"""Recognizes calls through invalid function pointers, and stacks that were overwritten.

Both leave frames without a name that no symbols could name: their addresses are not in any program or library.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis.frame_kind import plain_name

_MAX_NULL_PAGE = 0x1000
_MAX_USER_ADDRESS = 0xFFFF_FFFF_FFFF  # of aarch64, and twice that of x86-64: there is no code at higher ones
_MAX_JUMP_FRAMES = 3  # gdb may find a stale return address or two before the caller
_MIN_OVERWRITTEN = 2  # frames; a single one is often beyond the start of a thread


@dataclass(frozen=True)
class Jump:
    """The processor was at an address where there is no code. `caller` is the function that called it, if known.

    `levels` are the numbers of the frames that are no functions.
    """

    address: int
    caller: str | None
    levels: tuple[int, ...]

    def describe(self) -> str:
        """Return what happened."""
        where = "address 0" if self.address == 0 else f"address {self.address:#x}, which contains no code"
        return f"jumped to {where}, called from {self.caller or 'an unknown function'}"


@dataclass(frozen=True)
class Overwritten:
    """The return addresses on the stack are invalid from frame `level` on. `function` is whose frame was overwritten.

    `levels` are the numbers of the frames that are no functions.
    """

    level: int
    function: str | None
    levels: tuple[int, ...]

    def describe(self) -> str:
        """Return what happened."""
        whose = f"the frame of {self.function} was overwritten" if self.function else "nothing is known of its callers"
        return f"the stack is overwritten from frame {self.level}: {whose}"


def find_jump(frames: Sequence[Frame], fault_address: int | None) -> Jump | None:
    """Return the jump to an invalid address, None if the innermost frame is code.

    `frames` are those of the crash, with their objects and offsets if the core has them; `fault_address` is si_addr.
    """
    if not frames or frames[0].address is None or not _may_be_invalid(frames[0]):
        return None
    address = frames[0].address
    is_certain = address < _MAX_NULL_PAGE or address == fault_address or _are_located(frames)
    invalid = _leading_invalid(frames)
    if not is_certain or len(invalid) > _MAX_JUMP_FRAMES or len(invalid) == len(frames):
        return None
    caller = frames[len(invalid)].function
    return Jump(address, plain_name(caller) if caller else None, tuple(frame.level for frame in invalid))


def find_overwritten(frames: Sequence[Frame], unwind_error: str | None) -> Overwritten | None:
    """Return where the stack is overwritten, None if it is not. `unwind_error` is why gdb stopped."""
    located = _are_located(frames)
    start = next((index for index in range(1, len(frames)) if _is_invalid(frames[index], located=located)), None)
    if start is None or _may_be_invalid(frames[start - 1]):
        return None
    invalid = _leading_invalid(frames[start:])
    has_values = any(frame.address for frame in invalid)
    if not has_values or (len(invalid) < _MIN_OVERWRITTEN and not unwind_error):
        return None
    caller = frames[start - 1].function
    beyond = tuple(frame.level for frame in frames[start:])
    return Overwritten(frames[start].level, plain_name(caller) if caller else None, beyond)


def _leading_invalid(frames: Sequence[Frame]) -> Sequence[Frame]:
    for index, frame in enumerate(frames):
        if not _may_be_invalid(frame):
            return frames[:index]
    return frames


def _is_invalid(frame: Frame, *, located: bool) -> bool:
    """Return True if there is certainly no code at the frame's address."""
    if not _may_be_invalid(frame) or frame.address is None:
        return False
    return located or frame.address < _MAX_NULL_PAGE or frame.address > _MAX_USER_ADDRESS


def _may_be_invalid(frame: Frame) -> bool:
    return frame.function is None and frame.library is None and not frame.signal_handler


def _are_located(frames: Sequence[Frame]) -> bool:
    """Return True if the objects of frames are known from the core: what has none then is no code."""
    return any(frame.offset is not None for frame in frames)
