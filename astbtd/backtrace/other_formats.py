"""Parses frames printed by programs other than gdb: Asterisk, glibc, coredumpctl, elfutils, valgrind, lldb and others.

Sources of the forms: Asterisk's main/backtrace.c and main/lock.c; glibc's debug/backtracesyms.c; systemd's
src/shared/elf-util.c; elfutils' src/stack.c; valgrind's coregrind/m_debuginfo/debuginfo.c; LLVM's
sanitizer_stacktrace_printer.cpp; lldb's setting `frame-format`.
"""

import re

from astbtd.backtrace.gdb_frame import UNKNOWN_NAMES, Frame, is_optimized

NEXT_LEVEL = -1
"""The level of a frame without a number: one more than that of the frame before it."""

_MAX_LENGTH = 1000  # characters; none of these formats prints long arguments

# Asterisk with BETTER_BACKTRACES: `# 1: [0x55d4] asterisk channel.c:2495 ast_softhangup()`. Unknown addresses and
# locations are missing. Older versions append `(0x45d0d8+2E)`. `core show locks` prints the same without a number.
_RESOLVED = re.compile(
    r"(?:# ?(?P<level>\d{1,6}): |(?=\[0x))(?:\[(?P<address>0x[0-9a-f]+)\] )?(?P<object>[^\s(]+) "
    r"(?:(?P<file>[^\s:()]*):(?P<line>\d{1,7}) )?(?P<name>[^\s(]+)\(\)(?: \(\S+\))?$"
)
# Asterisk without BETTER_BACKTRACES: `# 1: /usr/sbin/asterisk(ast_softhangup+0x35) [0x564a]`. glibc prints the same
# without a number.
_SYMBOL = re.compile(
    r"(?:# ?(?P<level>\d{1,6}): )?(?P<object>[^\s()]+)\((?P<name>[^\s()+]*)(?:\+(?P<offset>0x[0-9a-f]{1,16}))?\) ?"
    r"\[(?P<address>0x[0-9a-f]+)\]$"
)
# `#0  0x00007f5a raise (libc.so.6 + 0x37ed9)`, or, copied by hand, `#1 app_rpt.so + 0x2749b`
_COREDUMPCTL = re.compile(
    r"#(?P<level>\d{1,6})\s{1,4}(?:(?P<address>0x[0-9a-f]+) )?(?:(?P<name>[^\s(]+) )?"
    r"\(?(?P<object>[^\s()]+) \+ (?P<offset>0x[0-9a-f]{1,16})\)?$"
)
# `#0  0x00007f5a      raise - /usr/lib64/libc.so.6`. ` - 1` follows a return address.
_ELFUTILS = re.compile(
    r"#(?P<level>\d{1,6})\s{1,4}(?P<address>0x[0-9a-f]+)(?: - 1)?(?=\s)"
    r"(?:\s{1,8}(?P<name>(?!in?$)[\w.@$~]+))?(?: - (?P<object>/\S+))?$"
)
# `==77==    by 0x281830: pbx_exec (pbx_app.c:492)`
_VALGRIND = re.compile(
    r"([=*-])\1\d+\1\1 {1,8}(?P<first>at|by) (?P<address>0x[0-9A-Fa-f]+): (?P<name>.+?)"
    r"(?: \((?:in (?P<object>[^()]+)|(?P<file>[^():]+):(?P<line>\d{1,7}))\))?$"
)
# `    #1 0x55d4 in ast_hangup channel.c:2495:3`, with `(/usr/sbin/asterisk+0x9a1)` if the line is unknown
_SANITIZER = re.compile(
    r"#(?P<level>\d{1,6}) (?P<address>0x[0-9a-f]+) {1,2}(?:in (?P<name>(?:(?! \().)+?)(?<! at)(?<! from) )?"
    r"(?:\((?P<object>/[^()]+?)\+(?P<offset>0x[0-9a-f]{1,16})\)(?: \(BuildId: \w+\))?|"
    r"(?P<file>[^\s():]+):(?P<line>\d{1,7})(?::\d+)?)$"
)
# Android: `    #01 pc 0000000000022424  /system/lib64/libc.so (abort+116)`
_ANDROID = re.compile(
    r"#(?P<level>\d{1,6}) pc (?P<address>[0-9a-f]{8,16})\s{1,4}(?P<object>/\S+)(?: \(offset 0x[0-9a-f]+\))?"
    r"(?: \((?P<name>[^\s()][^+]{0,300})\+\d+\))?(?: \(BuildId: \w+\))?$"
)
# ThreadSanitizer: `    #1 ast_hangup main/channel.c:2495:3 (asterisk+0x9a1)`, `<null>` if the line is unknown
_THREAD_SANITIZER = re.compile(
    r"#(?P<level>\d{1,6}) (?P<name>(?!0x)[^\s].{0,300}?) (?:<null>|(?P<file>[^\s():<>]+):(?P<line>\d{1,7})(?::\d+)?)"
    r" \((?P<object>[^()\s]+)\+0x[0-9a-f]+\)(?: \(BuildId: \w+\))?$"
)
# Crash reports of macOS and iOS: `1   asterisk    0x0000000104a3 ast_hangup + 35 (channel.c:2495)`
_APPLE = re.compile(
    r"(?P<level>\d{1,4})\s+(?P<object>[^\s()]\S{0,99}(?: \S{1,60}){0,3})\s{2,}(?P<address>0x[0-9a-f]{2,16}) "
    r"(?P<name>[^+]{1,300}?)(?: \+ \d+)?(?: \((?P<file>[^\s():]+):(?P<line>\d{1,7})\))?$"
)
# `* frame #0: 0x00007f5a libc.so.7`raise(s=6) at raise.c:52:10 [opt]`
_LLDB = re.compile(
    r"(?:\* )?frame #(?P<level>\d{1,6}): (?P<address>0x[0-9a-f]+) (?P<object>[^\s`]+)`(?P<name>[^\s(]+)"
    r"(?:\((?P<arguments>.*)\))?(?: \+ \d+)?(?: at (?P<file>[^\s:]+):(?P<line>\d{1,7})(?::\d+)?)?(?: \[\w+\])*$"
)

_WITH_NUMBER = (_RESOLVED, _SYMBOL, _COREDUMPCTL, _ELFUTILS, _SANITIZER, _ANDROID, _THREAD_SANITIZER)
_BY_FIRST_CHARACTER = {
    "#": _WITH_NUMBER,
    "[": (_RESOLVED,),
    "/": (_SYMBOL,),
    "=": (_VALGRIND,),
    "-": (_VALGRIND,),
    "*": (_VALGRIND, _LLDB),
    "f": (_LLDB,),
}


def parse_other_frame(line: str) -> Frame | None:
    """Parse a frame in one of these formats. Return None if `line` is not one."""
    if len(line) > _MAX_LENGTH:
        return None
    body = line.strip()
    patterns = _BY_FIRST_CHARACTER.get(body[:1])
    if patterns is None:
        # A report of glibc with a relative path: `asterisk(ast_hangup+0x35) [0x564a]`
        patterns = (_SYMBOL,) if body.endswith("]") else ()
        if body[:1].isdigit() and "0x" in body:
            patterns = (*patterns, _APPLE)
    for pattern in patterns:
        if match := pattern.match(body):
            return _to_frame(match)
    return None


def _to_frame(match: re.Match[str]) -> Frame:
    groups = match.groupdict()  # a group is missing if the format does not have it, None if this frame does not
    name = groups.get("name")
    line = int(groups.get("line") or 0)
    arguments = groups.get("arguments") or ""
    return Frame(
        level=_level(groups),
        text=match[0],
        address=int(groups["address"], 16) if groups.get("address") else None,
        function=None if name is None or name in UNKNOWN_NAMES or name.startswith("0x") else name,
        arguments=arguments,
        file=(groups.get("file") or None) if line else None,
        line=line or None,
        library=groups.get("object"),
        offset=_offset(groups),
        optimized=is_optimized(arguments),
    )


def _offset(groups: dict[str, str | None]) -> int | None:
    """Return the offset in the object. If the frame has a name, some formats print the offset in the function."""
    offset = groups.get("offset")
    has_name = (groups.get("name") or "") not in UNKNOWN_NAMES
    return int(offset, 16) if offset and not has_name else None


def _level(groups: dict[str, str | None]) -> int:
    if level := groups.get("level"):
        return int(level)
    starts_stack = groups.get("first") == "at"  # valgrind writes `at` before the innermost frame, `by` before others
    return 0 if starts_stack else NEXT_LEVEL
