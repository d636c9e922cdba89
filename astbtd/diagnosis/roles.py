"""Tells what part a frame plays: code that may hold the bug, or machinery that crashes on its behalf."""

import re
from enum import StrEnum
from functools import cache
from pathlib import PurePosixPath

from astbtd.diagnosis.frame import Frame
from astbtd.diagnosis.words import words


class Role(StrEnum):
    """The part of a frame; where it is known by name, the value is the list in `words/` that names it."""

    CODE = "code"
    UNKNOWN = "unknown"
    SIGNAL_HANDLER = "signal_handler"
    ABORT = "abort"
    ALLOCATE = "allocate"
    RELEASE = "release"
    LOCK = "lock"
    C_LIBRARY = "c_library"
    ASTERISK_ASSERT = "asterisk_assert"
    ASTERISK_ALLOCATE = "asterisk_allocate"
    ASTERISK_RELEASE = "asterisk_release"
    ASTERISK_LOCK = "asterisk_lock"
    THREAD_START = "thread_start"


LISTED = tuple(role for role in Role if role not in (Role.CODE, Role.UNKNOWN, Role.SIGNAL_HANDLER))
ALLOCATING = frozenset({Role.ALLOCATE, Role.ASTERISK_ALLOCATE})
RELEASING = frozenset({Role.RELEASE, Role.ASTERISK_RELEASE})
_IN_C_LIBRARY = frozenset({Role.ABORT, Role.ALLOCATE, Role.RELEASE, Role.LOCK, Role.C_LIBRARY})

# What compilers and linkers append: .constprop.0, .isra.1, .part.2, .cold, .clone.3, .lto_priv.4, @GLIBC_2.2.5, @plt.
_COMPILED = re.compile(r"(?<=.)(?:\.(?:constprop|isra|part|cold|clone|lto_priv|localalias|llvm|\d+)\b|@).*", re.DOTALL)
# glibc's variants of one function by processor, as in __memmove_avx_unaligned_erms.
_PROCESSOR = re.compile(r"_(?:sse|ssse|avx|evex|erms|ia32|i[56]86|generic|neon|simd|mte|sve|thunderx|falkor|power)\w*$")
_VERSION = re.compile(r"(?<=\.so)\..*")


def plain_name(name: str) -> str:
    """A function's name as its source has it, without what compilers, linkers and glibc's build add to it."""
    return _COMPILED.sub("", name).removeprefix("__GI_").strip() or name


def plain_object(path: str) -> str:
    """A shared object's name without its directory and version: `libasteriskpj.so`."""
    return _VERSION.sub("", PurePosixPath(path).name)


def role(frame: Frame) -> Role:
    """The part that `frame` plays."""
    if frame.signal_handler:
        return Role.SIGNAL_HANDLER
    listed = _role_of_name(plain_name(frame.function)) if frame.function else None
    if listed:
        return listed
    if _placed_in_c_library(frame):
        return Role.C_LIBRARY
    return Role.CODE if frame.function else Role.UNKNOWN


def in_c_library(frame: Frame) -> bool:
    """Whether `frame` is code of the C library or the kernel, which nobody rebuilds for the sake of a backtrace."""
    return frame.signal_handler or _placed_in_c_library(frame) or role(frame) in _IN_C_LIBRARY


def _placed_in_c_library(frame: Frame) -> bool:
    if frame.library:
        return plain_object(frame.library).partition(".so")[0].partition("-")[0] in words("c_library_objects")
    return frame.file is not None and frame.file.startswith(_c_library_sources())


def _role_of_name(name: str) -> Role | None:
    roles = _listed_roles()
    bare = _PROCESSOR.sub("", name.lstrip("_") if name.startswith("__") else name)
    return roles.get(name) or roles.get(bare)


@cache
def _listed_roles() -> dict[str, Role]:
    return {name: role for role in reversed(LISTED) for name in words(role.value)}


@cache
def _c_library_sources() -> tuple[str, ...]:
    return tuple(sorted(words("c_library_sources")))
