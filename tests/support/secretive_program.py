"""A program that crashes with the values of a table of texts in its variables, each text in a function of its own.

The texts have the syntax in which gdb prints values, which is nearly that of C. `f (a=1)` is a call of a function
with these arguments. A text that is no value is in a string.
"""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

_PIECE = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\[0-7]{3}|\\.)' <repeats \d+ times>)"""
_STRING = rf"(?:0x[0-9a-f]+ )?(?P<wide>[LuU]?)(?P<pieces>{_PIECE}(?:, {_PIECE})*)(?:\.\.\.)?"
_STRING_VALUE = re.compile(_STRING)
_STRINGS = re.compile(rf"\{{(?:{_STRING.replace('?P<wide>', '').replace('?P<pieces>', '?:')}(?:, )?)+\}}")
_NUMBER = re.compile(r"-?\d+(?: '(?:[^'\\]|\\[0-7]{3})')?(?![\w.])")
_POINTER = re.compile(r"0x[0-9a-f]+(?! [\"LuU<])")
_CALL = re.compile(r"\w+ \((.+)\)")
_NAME = re.compile(r"(\w+) ?= ?")
_REPEATED = re.compile(r"'((?:[^'\\]|\\[0-7]{3}|\\.))' <repeats (\d+) times>")
_TYPES = {"": "char", "L": "wchar_t", "u": "char16_t", "U": "char32_t"}

_PROGRAM = """#include <stddef.h>
#include <uchar.h>
#include <wchar.h>
{functions}
int main(void) {{ {first}; return 0; }}
"""


class NotAValue(ValueError):
    """A text that a program cannot have in its variables."""


def build_secretive_program(texts: Sequence[str], program: Path) -> None:
    """Write and compile a program that crashes with each text in the function `text_N`, N counted from 0."""
    calls = [f"text_{number}({_arguments(text)})" for number, text in enumerate(texts)]
    functions = [
        f"static void text_{number}({_parameters(text) or 'void'}) {{ {_variables(text)} {following}; }}"
        for number, (text, following) in enumerate(zip(texts, [*calls[1:], "*(volatile int *) 8 = 1"], strict=True))
    ]
    source = program.with_suffix(".c")
    source.write_text(_PROGRAM.format(functions="\n".join(reversed(functions)), first=calls[0]))
    subprocess.run(["gcc", "-g", "-O0", "-w", "-Wl,--build-id", "-o", program, source], check=True)


def is_value(text: str) -> bool:
    """Return whether a program can have variables or arguments that gdb prints like this text, but for addresses."""
    try:
        return bool(_call(text) or _declarations(text))
    except NotAValue:
        return False


def _parameters(text: str) -> str:
    return ", ".join(f"{kind} {name}" for kind, name, _ in _call(text))


def _arguments(text: str) -> str:
    return ", ".join(value for _, _, value in _call(text))


def _variables(text: str) -> str:
    """Return the declarations of variables with these values, or of one with this text."""
    if _call(text):
        return ""
    if is_value(text):
        return " ".join(f"{kind} {name} = {value};" for kind, name, value in _declarations(text))
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'const char *text = "{escaped}";'


def _call(text: str) -> list[tuple[str, str, str]]:
    """Return type, name and value of each argument of `f (a=1, b="x")`; nothing if the text is no call."""
    call = _CALL.fullmatch(text)
    return _declarations(call[1]) if call else []


def _declarations(text: str) -> list[tuple[str, str, str]]:
    """Return type, name and value in C of each variable in `a = 1, b = {c = "x"}`. Raise NotAValue."""
    declarations, position = [], 0
    while position < len(text.rstrip()):
        declared, position = _declaration(text, position)
        declarations.append(declared)
    return declarations


def _declaration(text: str, position: int) -> tuple[tuple[str, str, str], int]:
    """Translate one assignment. Return its type, name with dimension, and value in C, and where the next one is."""
    name = _NAME.match(text, position)
    if name is None:
        raise NotAValue(text)
    kind, dimension, value, end = _value(text, name.end())
    separator = re.compile(r", ?|").match(text, end)
    assert separator is not None
    return (kind, name[1] + dimension, value), separator.end()


def _value(text: str, position: int) -> tuple[str, str, str, int]:
    """Translate a value. Return its type, dimension and value in C, and its end in the text."""
    if strings := _STRINGS.match(text, position):
        values = [_literal(each) for each in _STRING_VALUE.finditer(strings[0])]
        return "const char *", "[]", f"{{{', '.join(values)}}}", strings.end()
    if string := _STRING_VALUE.match(text, position):
        is_array = _REPEATED.search(string["pieces"]) is not None
        kind = f"{_TYPES[string['wide']]}{'' if is_array else ' *'}"
        return kind, "[]" if is_array else "", _literal(string), string.end()
    if number := _NUMBER.match(text, position):
        return "long", "", number[0].split()[0], number.end()
    if pointer := _POINTER.match(text, position):
        return "void *", "", f"(void *) {pointer[0]}", pointer.end()
    if text.startswith("{", position):
        return _structure(text, position + 1)
    raise NotAValue(text)


def _structure(text: str, position: int) -> tuple[str, str, str, int]:
    members = []
    while not text.startswith("}", position):
        member, position = _declaration(text, position)
        members.append(member)
    fields = " ".join(f"{kind} {name};" for kind, name, _ in members)
    return f"struct {{ {fields} }}", "", f"{{{', '.join(value for _, _, value in members)}}}", position + 1


def _literal(string: re.Match[str]) -> str:
    """Return a C string literal for what gdb printed in pieces."""
    pieces = re.findall(_PIECE, string["pieces"])
    return " ".join(string["wide"] + _REPEATED.sub(lambda run: f'"{run[1] * int(run[2])}"', piece) for piece in pieces)
