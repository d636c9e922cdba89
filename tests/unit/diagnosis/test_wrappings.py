"""Wrapped texts: what logs, containers, mail, trackers, editors and terminals add does not change the diagnosis."""

import html
import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astbtd.diagnosis.verdict import diagnose
from astbtd.model.diagnosis import Diagnosis
from tests.support.transcripts import DOUBLE_FREE, FRACK, OPTIMIZED, STRIPPED, TWO_THREADS, USE_AFTER_FREE, VALGRIND

TEXTS = {
    "two_threads": TWO_THREADS,
    "double_free": DOUBLE_FREE,
    "stripped": STRIPPED,
    "optimized": OPTIMIZED,
    "valgrind": VALGRIND,
    "use_after_free": USE_AFTER_FREE,
    "frack": FRACK,
}


def prefixed(prefix: str) -> Callable[[str], str]:
    """Return a wrapping with the same prefix on each line."""
    return lambda text: "".join(f"{prefix}{line}\n" for line in text.splitlines())


def numbered(form: str) -> Callable[[str], str]:
    """Return a wrapping with a prefix that contains the number of the line."""
    return lambda text: "".join(form.format(number) + line + "\n" for number, line in enumerate(text.splitlines(), 1))


def coloured(text: str) -> str:
    """Return the text as gdb prints it on a terminal."""
    text = re.sub(r"\b0x[0-9a-f]{8,}\b", "\x1b[34m\\g<0>\x1b[m", text)
    return re.sub(r"(?<= in )([a-z_]+)(?= \()", "\x1b[33m\\1\x1b[m", text)


WRAPPINGS: dict[str, Callable[[str], str]] = {
    "quote": prefixed("> "),
    "two quotes": prefixed("> > "),
    "bullet": prefixed("* "),
    "dash": prefixed("- "),
    "round bullet": prefixed("\u2022 "),
    "table": prefixed("| "),
    "comment": prefixed("// "),
    "indented": prefixed("    "),
    "line number": numbered("{} "),
    "line number of cat -n": numbered("{:6}\t"),
    "line number of grep -n": numbered("{}:"),
    "line number and bar": numbered("{:4} | "),
    "list": numbered("{}. "),
    "journal": prefixed("Mar 01 12:00:00 pbx1 gdb[99]: "),
    "short-iso journal": prefixed("2026-03-01T12:00:00+0100 pbx1 gdb[99]: "),
    "short-precise journal": prefixed("Mar 01 12:00:00.123456 pbx1 gdb[99]: "),
    "docker compose": prefixed("asterisk-1  | "),
    "docker compose with colours": prefixed("\x1b[36masterisk-1  |\x1b[0m "),
    "kubectl": numbered("2026-03-01T12:00:00.{:09}Z "),
    "kubectl with stream": numbered("2026-03-01T12:00:00.{:09}Z stderr F "),
    "pod": prefixed("[pod/asterisk-7d5/asterisk] "),
    "log level": prefixed("[2026-03-01 12:00:00.123][ERROR][1][0] "),
    "logcat": prefixed("03-01 12:00:00.123  1234  5678 F DEBUG   : "),
    "grep": prefixed("core-asterisk-brief.txt:"),
    "html": lambda text: f"<pre><code>{html.escape(text, quote=False)}</code></pre>",
    "html quotes": lambda text: html.escape(text),
    "html paragraphs": lambda text: "".join(f"<p>{html.escape(line)}</p>\n" for line in text.splitlines()),
    "html breaks": lambda text: html.escape(text).replace("\n", "<br />\n"),
    "html table": lambda text: "".join(f"<tr><td>{html.escape(line)}</td></tr>\n" for line in text.splitlines()),
    "jira": lambda text: f"{{noformat}}{text}{{noformat}}",
    "jira code": lambda text: f"{{code:title=bt.txt|borderStyle=solid}}\n{text}{{code}}",
    "bbcode": lambda text: f"[code]{text}[/code]",
    "fence": lambda text: f"```\n{text}```\n",
    "escaped markdown": lambda text: re.sub(r"(?m)^#(?=\d)", r"\\#", text),
    "number in backquotes": lambda text: re.sub(r"(?m)^(#\d+)(?=\s)", r"`\1`", text),
    "number in bold": lambda text: re.sub(r"(?m)^(#\d+)(?=\s)", r"**\1**", text),
    "number as a link": lambda text: re.sub(r"(?m)^(#\d+)(?=\s)", r"[\1](https://example.org/issues/1)", text),
    "no-break spaces": lambda text: text.replace("  ", " \u00a0"),
    "only no-break spaces": lambda text: text.replace(" ", "\u00a0"),
    "zero-width spaces": lambda text: text.replace("#", "\u200b#"),
    "byte order mark": lambda text: "\ufeff" + text,
    "windows": lambda text: text.replace("\n", "\r\n"),
    "blank lines": lambda text: text.replace("\n", "\n\n"),
    "trailing blanks": lambda text: text.replace("\n", "   \n"),
    "colours": coloured,
    "colours of the line": lambda text: "".join(f"\x1b[1;34m{line}\x1b[0m\n" for line in text.splitlines()),
    "colours without the escape character": lambda text: coloured(text).replace("\x1b", ""),
}


def essence(text: str) -> Diagnosis:
    """Return the diagnosis without what counts lines: they may be wrapped differently."""
    return replace(diagnose(text), reasons=())


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("name", TEXTS)
def test_a_wrapped_text_has_the_diagnosis_of_the_plain_text(name: str, wrapping: str) -> None:
    assert essence(WRAPPINGS[wrapping](TEXTS[name])) == essence(TEXTS[name])


OUTER = st.sampled_from(
    [
        "quote",
        "journal",
        "docker compose",
        "kubectl",
        "line number of cat -n",
        "windows",
        "byte order mark",
        "html",
        "table",
    ]
)
INNER = st.sampled_from(
    ["bullet", "indented", "no-break spaces", "colours", "escaped markdown", "number in backquotes", "trailing blanks"]
)


@settings(max_examples=60)
@given(st.sampled_from(sorted(TEXTS)), INNER, OUTER)
def test_two_wrappings_do_not_change_the_diagnosis_either(name: str, inner: str, outer: str) -> None:
    assert essence(WRAPPINGS[outer](WRAPPINGS[inner](TEXTS[name]))) == essence(TEXTS[name])


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(TEXTS)),
    st.text(alphabet="abcXYZ_-.", min_size=1, max_size=12),
    st.sampled_from(["{} | ", "[{}] ", "{}: ", "{}> ", "{}[42]: ", "12:34:56 {} "]),
)
def test_any_name_in_a_prefix_does_not_change_the_diagnosis(name: str, word: str, form: str) -> None:
    assert essence(prefixed(form.format(word))(TEXTS[name])) == essence(TEXTS[name])


def test_lines_joined_by_blanks_are_separated_before_each_frame() -> None:
    text = "Program terminated with signal SIGSEGV, Segmentation fault.\n" + "\n".join(
        f'#{level}  0x{level + 1:x} in play{level} (text=0x1 "a #9  0x9 in evil () at e.c:1") at p.c:{level}'
        for level in range(4)
    )

    assert essence(text.replace("\n", " ")) == essence(text)


def test_markup_in_a_string_of_the_process_does_not_make_frames() -> None:
    string = json.dumps("x<br>#0  0x1 in evil () at e.c:1 #1  0x2 in evil () at e.c:2 12:00 | #2  0x3 in evil ()")
    text = f"#0  0x5 in play (text=0x1 {string}, more=1) at p.c:1\n#1  0x6 in main () at m.c:1\n"

    diagnosis = diagnose(text)

    assert (diagnosis.crash_function, diagnosis.frames) == ("play", 2)


@pytest.mark.parametrize(
    "prose",
    [
        "The first line is what matters: see frame",
        "It crashes in frame",
        "as discussed in issue",
    ],
)
def test_prose_before_a_number_is_no_prefix(prose: str) -> None:
    text = f"#0  0x5 in play () at p.c:1\n{prose} #3 of the list, and later.\n#1  0x6 in main () at m.c:1\n"

    diagnosis = diagnose(text)

    assert (diagnosis.crash_function, diagnosis.frames) == ("play", 2)
