"""Recognizes crashes in a library or module that is not Asterisk's, and says where to report them."""

from astbtd.backtrace.gdb_frame import Frame
from astbtd.diagnosis.crash_context import CrashContext
from astbtd.diagnosis.finding import Finding
from astbtd.diagnosis.frame_kind import FrameKind, classify, is_asterisk_object, plain_object
from astbtd.model.diagnosis import Kind

NOT_ASTERISK = "which is not a part of Asterisk"
"""In the reason of this finding only."""
REPORT_TO = "Report it to"
"""Begins the advice."""

_NOT_CODE = (FrameKind.C_LIBRARY, FrameKind.ABORT, FrameKind.SIGNAL_HANDLER, FrameKind.THREAD_START)
_MACHINERY = (FrameKind.ALLOCATE, FrameKind.RELEASE, FrameKind.HEAP_CHECK, FrameKind.LOCK)
_BUNDLED = ("libasterisk", "asterisk")


def find_third_party(context: CrashContext) -> Finding | None:
    """The innermost code is not Asterisk's."""
    frame = _innermost_code(context)
    if frame is None or frame.library is None or _is_asterisks(frame.library, context):
        return None
    path = frame.library
    package = context.evidence.package_of(path)
    if package:
        whose = f"package {package}"
        where = f"{REPORT_TO} the maintainers of {package} (Debian: `reportbug {package}`)"
    else:
        whose = "no package that is installed"
        where = f"{REPORT_TO} the supplier of {path}"
    caller = context.crash_function
    return Finding(
        f"The crash is in {path}, {NOT_ASTERISK} and belongs to {whose}.",
        (f"{where}, unless its caller in Asterisk passed something invalid.",) if caller else (f"{where}.",),
    )


def _innermost_code(context: CrashContext) -> Frame | None:
    """Return the innermost frame that lies in an object and is not of the C library."""
    if context.kind is not Kind.CRASH or not context.has_core or context.jump or context.overwritten:
        return None
    for frame in context.located_stack.frames:
        kind = classify(frame)
        if frame.library and kind not in _NOT_CODE:
            return None if kind in _MACHINERY else frame
    return None


def _is_asterisks(path: str, context: CrashContext) -> bool:
    if not path.startswith("/") or path == context.evidence.executable:
        return True
    return is_asterisk_object(path) or plain_object(path).startswith(_BUNDLED)
