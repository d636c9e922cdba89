"""Tells what part a frame plays: code that may hold the bug, or machinery that crashes on its behalf."""

import re
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import PurePosixPath

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis.word_lists import words


class Role(StrEnum):
    """The part of a frame; where it is known by name, the value is the list in `words/` that names it."""

    CODE = "code"
    NAMELESS = "nameless"  # code of Asterisk or of a module, without a name
    UNKNOWN = "unknown"  # anything else without a name, such as an address that is none of code
    SIGNAL_HANDLER = "signal_handler"
    ABORT = "abort"
    ALLOCATE = "allocate"
    RELEASE = "release"
    HEAP_CHECK = "heap_check"
    LOCK = "lock"
    ASTERISK_ASSERT = "asterisk_assert"
    ASTERISK_ALLOCATE = "asterisk_allocate"
    ASTERISK_RELEASE = "asterisk_release"
    ASTERISK_LOCK = "asterisk_lock"
    ASTERISK_OBJECT = "asterisk_object"
    THREAD_START = "thread_start"
    C_LIBRARY = "c_library"


LISTED = tuple(role for role in Role if role.value not in ("code", "nameless", "unknown", "signal_handler"))
ASSERTING = frozenset({Role.ABORT, Role.ASTERISK_ASSERT})
_IN_C_LIBRARY = frozenset({Role.ABORT, Role.ALLOCATE, Role.RELEASE, Role.HEAP_CHECK, Role.LOCK, Role.C_LIBRARY})

# What compilers and linkers append: .constprop.0, .isra.1, .part.2, .cold, .clone.3, .lto_priv.4, @GLIBC_2.2.5, @plt,
# and the demangler's ` [clone .isra.1]`.
_COMPILED = re.compile(
    r"(?<=.)(?:\.(?:constprop|isra|part|cold|clone|lto_priv|localalias|llvm|\d+)\b|@| \[clone ).*", re.DOTALL
)
# glibc's variants of one function by processor, as in __memmove_avx_unaligned_erms.
_PROCESSOR = re.compile(
    r"_(?:sse|ssse|avx|evex|erms|ia32|i[3-6]86|generic|neon|arm|asimd|advsimd|simd|mte|sve|thunderx|falkor|a64fx|oryon|"
    r"kunpeng|power|ppc|z\d|vx|rtm)\w*$"
)
_INTERCEPTED = ("__interceptor_", "___interceptor_", "__interceptor_trampoline_", "__wrap_")
_VERSION = re.compile(r"(?<=\.so)\..*")
_MODULE = re.compile(r"(?:app|bridge|cdr|cel|chan|channelstorage|codec|format|func|pbx|res|test)_\w+\.so|asterisk$")


def plain_name(name: str) -> str:
    """A function's name as its source has it, without parameters and what compilers, linkers and glibc's build add."""
    bare = _COMPILED.sub("", name).removeprefix("__GI_").strip()
    return _without_parameters(bare) or name


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
    if frame.function:
        return Role.CODE
    return Role.NAMELESS if frame.library and _is_asterisks(frame.library) else Role.UNKNOWN


def in_c_library(frame: Frame) -> bool:
    """Whether `frame` is code of the C library or the kernel, which nobody rebuilds for the sake of a backtrace."""
    return frame.signal_handler or _placed_in_c_library(frame) or role(frame) in _IN_C_LIBRARY


def _is_asterisks(path: str) -> bool:
    return _MODULE.match(plain_object(path)) is not None or "/asterisk/modules/" in path


def _placed_in_c_library(frame: Frame) -> bool:
    if frame.library:
        return plain_object(frame.library).partition(".so")[0].partition("-")[0] in words("c_library_objects")
    return frame.file is not None and words("c_library_sources").begins(frame.file)


@lru_cache(maxsize=10_000)
def _role_of_name(name: str) -> Role | None:
    bare = _bare(name)
    exact = _listed_roles().get(name) or _listed_roles().get(bare)
    return exact or next((role for role in LISTED if name in words(role.value) or bare in words(role.value)), None)


def _bare(name: str) -> str:
    """The name of a function of the C library that another one, or a processor's variant, stands for."""
    for prefix in _INTERCEPTED:
        name = name.removeprefix(prefix)
    return _PROCESSOR.sub("", name.lstrip("_") if name.startswith("__") else name)


def _without_parameters(name: str) -> str:
    """A C++ name without its last parentheses, unless they are the name's own, as in `operator()`."""
    end = name.removesuffix(" const").removesuffix("&").rstrip()
    if not end.endswith(")"):
        return name
    depth = 0
    for position in range(len(end) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(end[position], 0)
        if depth == 0:
            return name if end[:position].endswith(("operator", "::")) else end[:position].rstrip()
    return name


@cache
def _listed_roles() -> dict[str, Role]:
    return {name: role for role in reversed(LISTED) for name in words(role.value).names}
