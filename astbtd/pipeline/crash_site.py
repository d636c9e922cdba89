"""Compute the site of a crash, its exact place in one build, from gdb's frames and the code map of the core.

A site has the innermost frames up to the first of Asterisk's or a module's own code (CrashStack.deciding_frames), with
or without names. If there is no such frame, or it lies in no object, the fingerprint of the stack identifies the site.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis.crash_function import CrashStack
from astbtd.elf.code_map import CodeLocation, CrashedCode, read_crashed_code
from astbtd.model.crash import Process, Site, SiteFrame

_MAX_FRAMES = 16
_ID_LENGTH = 16  # hexadecimal digits


@dataclass(frozen=True)
class FrameLocator:
    """Locates frames in the objects of a core. Without a core's code, nothing is located."""

    code: CrashedCode | None

    @classmethod
    def from_core(cls, descriptor: int) -> "FrameLocator":
        """Return the locator for the core open at `descriptor`."""
        return cls(read_crashed_code(descriptor))

    def locate(self, frames: Sequence[Frame]) -> tuple[Frame, ...]:
        """Return the frames with their objects and offsets. What lies in no object stays as it is."""
        return tuple(map(self._locate, frames))

    def site(self, stack: CrashStack, fingerprint: str | None) -> Site | None:
        """Return the site of a crash in `stack`, whose frames are located; None if it is not known.

        `fingerprint` is that of the core.
        """
        frames = tuple(self._site_frames(stack))
        if stack.is_decided and frames and frames[-1].object is not None:
            return Site(
                _hash(f"{frame.build_id or frame.object}+{frame.offset}" for frame in frames if frame.object), frames
            )
        return Site(_hash([fingerprint]), frames) if fingerprint else None

    def _site_frames(self, stack: CrashStack) -> Iterator[SiteFrame]:
        """Yield the deciding frames. An inlined frame has the address of the next one further out."""
        needed = len(stack.deciding_frames)
        for number, frame in enumerate(stack.frames[: needed + _MAX_FRAMES], 1):
            address = self._address(frame)
            if address is not None:
                yield _site_frame(address, self._find(address))
                if number >= min(needed, _MAX_FRAMES):
                    return

    def _locate(self, frame: Frame) -> Frame:
        address = self._address(frame)
        location = None if address is None else self._find(address)
        if location is None:
            return frame
        return replace(frame, library=location.path, offset=location.offset)

    def _find(self, address: int) -> CodeLocation | None:
        return self.code.map.find(address) if self.code else None

    def _address(self, frame: Frame) -> int | None:
        """Return the address of a frame. gdb omits that of the innermost one if it is at the start of a line."""
        if frame.address is None and frame.level == 0 and self.code:
            return self.code.program_counter
        return frame.address


def logged_site(frame: SiteFrame | None) -> Site | None:
    """Return the site of a crash without a core, from the module and the offset that the kernel logged."""
    return Site(_hash([f"{frame.object}+{frame.offset}"]), (frame,)) if frame else None


def program_key(process: Process) -> str:
    """Return what identifies a program and its user: crashes of others never count as crashes of this one."""
    return f"{process.build_id or process.executable}|{process.uid}"


def site_key(process: Process, site: Site | None) -> str | None:
    """Return what identifies a site of one program and user; None if the site is not known."""
    return f"{program_key(process)}|{site.id}" if site else None


def logged_site_key(site_id: str) -> str:
    """Return what `site_key` does for a crash without a core, whose site has this id: its program is not known."""
    return f"{program_key(Process())}|{site_id}"


def locate_recorded(frames: Sequence[Frame], site: Site) -> tuple[Frame, ...]:
    """Return frames of a recorded crash with the objects and offsets that its site has.

    `frames` are those of the crash, innermost first, parsed from the stored text.
    """
    located = []
    recorded = iter(site.frames)
    for frame in frames:
        has_address = frame.address is not None or frame.level == 0
        known = next(recorded, None) if has_address else None
        if known is not None and known.object is not None:
            frame = replace(frame, library=known.object, offset=int(known.offset, 16))
        located.append(frame)
    return tuple(located)


def _site_frame(address: int, location: CodeLocation | None) -> SiteFrame:
    if location is None:
        return SiteFrame(None, None, f"{address:#x}")
    return SiteFrame(location.build_id, location.path, f"{location.offset:#x}")


def _hash(lines: Iterable[str]) -> str:
    text = "\n".join(lines)
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()[:_ID_LENGTH]
