"""Classifies frames: code that may contain the bug, or library and runtime functions that crash on behalf of it."""

import re
from enum import StrEnum
from functools import cache, lru_cache
from pathlib import PurePosixPath

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis.word_lists import load_words


class FrameKind(StrEnum):
    """The kind of a frame. The value of a kind in LISTED_KINDS is the name of its list in `words/`."""

    CODE = "code"  # a named function of Asterisk, of a module, or of a library that it uses
    NAMELESS = "nameless"  # code of Asterisk or of a module, without a name
    UNKNOWN = "unknown"  # anything else without a name, for example an address that belongs to no object
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


_WITHOUT_LIST = (FrameKind.CODE, FrameKind.NAMELESS, FrameKind.UNKNOWN, FrameKind.SIGNAL_HANDLER)
LISTED_KINDS = tuple(kind for kind in FrameKind if kind not in _WITHOUT_LIST)
ASSERTION_KINDS = frozenset({FrameKind.ABORT, FrameKind.ASTERISK_ASSERT})
_C_LIBRARY_KINDS = frozenset(
    {
        FrameKind.ABORT,
        FrameKind.ALLOCATE,
        FrameKind.RELEASE,
        FrameKind.HEAP_CHECK,
        FrameKind.LOCK,
        FrameKind.C_LIBRARY,
    }
)

# What compilers and linkers append: .constprop.0, .isra.1, .part.2, .cold, .clone.3, .lto_priv.4, @GLIBC_2.2.5, @plt,
# and the demangler's ` [clone .isra.1]`.
_COMPILER_SUFFIX = re.compile(
    r"(?<=.)(?:\.(?:constprop|isra|part|cold|clone|lto_priv|localalias|llvm|\d+)\b|@| \[clone ).*", re.DOTALL
)
# glibc's variants of one function by processor, as in __memmove_avx_unaligned_erms.
_PROCESSOR_SUFFIX = re.compile(
    r"_(?:sse|ssse|avx|evex|erms|ia32|i[3-6]86|generic|neon|arm|asimd|advsimd|simd|mte|sve|thunderx|falkor|a64fx|oryon|"
    r"kunpeng|power|ppc|z\d|vx|rtm)\w*$"
)
_INTERCEPTOR_PREFIXES = ("__interceptor_", "___interceptor_", "__interceptor_trampoline_", "__wrap_")
_VERSION_SUFFIX = re.compile(r"(?<=\.so)\..*")
_ASTERISK_OBJECT = re.compile(
    r"(?:app|bridge|cdr|cel|chan|channelstorage|codec|format|func|pbx|res|test)_\w+\.so|asterisk$"
)


def plain_name(name: str) -> str:
    """Return a function's name as in its source: without parameters, and without what compilers and linkers append."""
    base = _COMPILER_SUFFIX.sub("", name).removeprefix("__GI_").strip()
    return _remove_parameters(base) or name


def plain_object(path: str) -> str:
    """Return a shared object's name without its directory and version: `libasteriskpj.so`."""
    return _VERSION_SUFFIX.sub("", PurePosixPath(path).name)


def classify(frame: Frame) -> FrameKind:
    """Return the kind of `frame`."""
    if frame.signal_handler:
        return FrameKind.SIGNAL_HANDLER
    listed = _classify_name(plain_name(frame.function)) if frame.function else None
    if listed:
        return listed
    if _is_located_in_c_library(frame):
        return FrameKind.C_LIBRARY
    if frame.function:
        return FrameKind.CODE
    if frame.library and is_asterisk_object(frame.library):
        return FrameKind.NAMELESS
    return FrameKind.UNKNOWN


def in_c_library(frame: Frame) -> bool:
    """Return True if `frame` is code of the C library or the kernel: nobody rebuilds these for a better backtrace."""
    if frame.signal_handler or _is_located_in_c_library(frame):
        return True
    return classify(frame) in _C_LIBRARY_KINDS


def is_asterisk_object(path: str) -> bool:
    """Return True if the path is that of Asterisk or one of its modules, by its name."""
    return "/asterisk/modules/" in path or _ASTERISK_OBJECT.match(plain_object(path)) is not None


def _is_located_in_c_library(frame: Frame) -> bool:
    if frame.library:
        name = plain_object(frame.library).partition(".so")[0].partition("-")[0]
        return name in load_words("c_library_objects")
    return frame.file is not None and load_words("c_library_sources").matches_start(frame.file)


@lru_cache(maxsize=10_000)
def _classify_name(name: str) -> FrameKind | None:
    """Return the kind whose list has this name, as it is or as a variant. Exact entries win over those with `*`."""
    base = _base_name(name)
    exact = _kinds_by_name().get(name) or _kinds_by_name().get(base)
    if exact:
        return exact
    for kind in LISTED_KINDS:
        words = load_words(kind.value)
        if name in words or base in words:
            return kind
    return None


def _base_name(name: str) -> str:
    """Return the name of the C library's function that `name` intercepts, or is a variant of for one processor."""
    for prefix in _INTERCEPTOR_PREFIXES:
        name = name.removeprefix(prefix)
    if name.startswith("__"):
        name = name.lstrip("_")
    return _PROCESSOR_SUFFIX.sub("", name)


def _remove_parameters(name: str) -> str:
    """Return a C++ name without its last parentheses, unless they are part of the name, as in `operator()`."""
    end = name.removesuffix(" const").removesuffix("&").rstrip()
    if not end.endswith(")"):
        return name
    opening = _find_opening(end)
    if opening is None or end[:opening].endswith(("operator", "::")):
        return name
    return end[:opening].rstrip()


def _find_opening(text: str) -> int | None:
    """Return the position of the parenthesis that the last character of `text` closes."""
    depth = 0
    for position in range(len(text) - 1, -1, -1):
        if text[position] == ")":
            depth += 1
        elif text[position] == "(":
            depth -= 1
        if depth == 0:
            return position
    return None


@cache
def _kinds_by_name() -> dict[str, FrameKind]:
    kinds: dict[str, FrameKind] = {}
    for kind in LISTED_KINDS:
        for name in load_words(kind.value).names:
            kinds.setdefault(name, kind)
    return kinds
