"""Reads frames that others than gdb print: Asterisk, glibc, coredumpctl, elfutils, valgrind, lldb, Android.

Sources of the forms: Asterisk's main/backtrace.c and main/lock.c; glibc's debug/backtracesyms.c; systemd's
src/shared/elf-util.c; elfutils' src/stack.c; valgrind's coregrind/m_debuginfo/debuginfo.c; LLVM's
sanitizer_stacktrace_printer.cpp; lldb's setting `frame-format`.
"""

import re

from astbtd.backtrace.gdb_frame import NAMELESS, Frame, is_optimized

NEXT = -1
"""The level of a frame that has no number: the next outer one."""

_LONGEST = 1000  # characters; none of these forms prints arguments at length

# With BETTER_BACKTRACES: `# 1: [0x55d4] asterisk channel.c:2495 ast_softhangup()`, address or place missing where
# unknown; older ones end in `(0x45d0d8+2E)`. `core show locks` prints the same without a number.
_RESOLVED = re.compile(
    r"(?:# ?(?P<level>\d{1,6}): |(?=\[0x))(?:\[(?P<address>0x[0-9a-f]+)\] )?(?P<object>[^\s(]+) "
    r"(?:(?P<file>[^\s:()]*):(?P<line>\d{1,7}) )?(?P<name>[^\s(]+)\(\)(?: \(\S+\))?$"
)
# Without: `# 1: /usr/sbin/asterisk(ast_softhangup+0x35) [0x564a]`. glibc's own reports have no number.
_SYMBOL = re.compile(
    r"(?:# ?(?P<level>\d{1,6}): )?(?P<object>[^\s()]+)\((?P<name>[^\s()+]*)(?:\+0x[0-9a-f]+)?\) ?"
    r"\[(?P<address>0x[0-9a-f]+)\]$"
)
# `#0  0x00007f5a raise (libc.so.6 + 0x37ed9)`; copied by hand, `#1 app_rpt.so + 0x2749b`.
_COREDUMPCTL = re.compile(
    r"#(?P<level>\d{1,6})\s{1,4}(?:(?P<address>0x[0-9a-f]+) )?(?:(?P<name>[^\s(]+) )?"
    r"\(?(?P<object>[^\s()]+) \+ 0x[0-9a-f]+\)?$"
)
# `#0  0x00007f5a      raise - /usr/lib64/libc.so.6`; ` - 1` stands behind an address that a call returns to.
_ELFUTILS = re.compile(
    r"#(?P<level>\d{1,6})\s{1,4}(?P<address>0x[0-9a-f]+)(?: - 1)?(?=\s)"
    r"(?:\s{1,8}(?P<name>(?!in?$)[\w.@$~]+))?(?: - (?P<object>/\S+))?$"
)
# `==77==    by 0x281830: pbx_exec (pbx_app.c:492)`
_VALGRIND = re.compile(
    r"([=*-])\1\d+\1\1 {1,8}(?P<first>at|by) (?P<address>0x[0-9A-Fa-f]+): (?P<name>.+?)"
    r"(?: \((?:in (?P<object>[^()]+)|(?P<file>[^():]+):(?P<line>\d{1,7}))\))?$"
)
# `    #1 0x55d4 in ast_hangup channel.c:2495:3`; `(/usr/sbin/asterisk+0x9a1)` where there are no lines.
_SANITIZER = re.compile(
    r"#(?P<level>\d{1,6}) (?P<address>0x[0-9a-f]+) {1,2}(?:in (?P<name>(?:(?! \().)+?)(?<! at)(?<! from) )?"
    r"(?:\((?P<object>/[^()]+?)\+0x[0-9a-f]+\)(?: \(BuildId: \w+\))?|(?P<file>[^\s():]+):(?P<line>\d{1,7})(?::\d+)?)$"
)
# `    #01 pc 0000000000022424  /system/lib64/libc.so (abort+116)`, as Android writes it
_ANDROID = re.compile(
    r"#(?P<level>\d{1,6}) pc (?P<address>[0-9a-f]{8,16})\s{1,4}(?P<object>/\S+)(?: \((?P<name>[^\s()]+)\+\d+\))?$"
)
# `* frame #0: 0x00007f5a libc.so.7`raise(s=6) at raise.c:52:10 [opt]`
_LLDB = re.compile(
    r"(?:\* )?frame #(?P<level>\d{1,6}): (?P<address>0x[0-9a-f]+) (?P<object>[^\s`]+)`(?P<name>[^\s(]+)"
    r"(?:\((?P<arguments>.*)\))?(?: \+ \d+)?(?: at (?P<file>[^\s:]+):(?P<line>\d{1,7})(?::\d+)?)?(?: \[\w+\])*$"
)

_NUMBERED = (_RESOLVED, _SYMBOL, _COREDUMPCTL, _ELFUTILS, _SANITIZER, _ANDROID)
_BY_FIRST_CHARACTER = {
    "#": _NUMBERED,
    "[": (_RESOLVED,),
    "/": (_SYMBOL,),
    "=": (_VALGRIND,),
    "-": (_VALGRIND,),
    "*": (_VALGRIND, _LLDB),
    "f": (_LLDB,),
}


def read(line: str) -> Frame | None:
    """The frame that `line` is in one of these forms, None if it is none."""
    body = line.strip() if len(line) <= _LONGEST else ""
    forms = _BY_FIRST_CHARACTER.get(body[:1]) or ((_SYMBOL,) if body.endswith("]") else ())
    return next((_frame(found) for form in forms if (found := form.match(body))), None)


def _frame(found: re.Match[str]) -> Frame:
    part = found.groupdict()
    name, line, level = part.get("name"), int(part.get("line") or 0), part.get("level")
    first = 0 if part.get("first") == "at" else NEXT
    arguments = part.get("arguments") or ""
    return Frame(
        level=int(level) if level else first,
        text=found[0],
        address=int(part["address"], 16) if part["address"] else None,
        function=None if name is None or name in NAMELESS else name,
        arguments=arguments,
        file=(part.get("file") or None) if line else None,
        line=line or None,
        library=part.get("object"),
        optimized=is_optimized(arguments),
    )
