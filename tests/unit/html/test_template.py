"""The page's security policy, and that nothing that is inserted becomes markup."""

import base64
import builtins
import hashlib
import re
from collections.abc import Mapping
from html.parser import HTMLParser
from typing import Any

import pytest

from astbtd.html.report_page import render_page
from astbtd.html.template import JinjaMissing
from tests.support.builders import crash
from tests.support.deadlocks import capture
from tests.support.hostile_text import HOSTILE

pytest.importorskip("jinja2")

FORBIDDEN = {"script", "img", "iframe", "link", "base", "object", "embed", "form", "input", "a"}
ALLOWED_ATTRIBUTES = re.compile(
    r"class|lang|charset|http-equiv|content|name|viewbox|role|aria-label|id|refx|refy|markerwidth|markerheight|orient|d|"
    r"marker-end|x|y|width|height|rx|tabindex|scope|data-label|colspan"
)


class Document(HTMLParser):
    """The elements, attributes and texts of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile_pages() -> dict[str, str]:
    """Return pages of a crash and a capture in which all texts are hostile."""
    frame = f'#0  0x1 in {HOSTILE!r} (a=1) at bridge.c:1\n        note = "{HOSTILE!r}"\n'
    info = f"Channels (1):\nChannel  Unique ID\n{HOSTILE!r}  1\n\n"
    lock = f"=== Thread ID: 0x1 LWP:11 (t)\n=== ---> Lock #0 ({HOSTILE!r}): MUTEX 1 f n 0x10\n"
    texts: Mapping[str, str] = {
        **dict.fromkeys(("thread1.txt", "brief.txt", "backtrace-threads.txt", "backtrace-threads-full.txt"), frame),
        **dict.fromkeys(("locks.txt", "core-show-locks.txt"), lock),
        "info.txt": info,
    }
    return {"crash": render_page(poison(crash()), texts), "capture": render_page(poison(capture()), texts)}


def poison(record: Any) -> Any:
    """Return the record with HOSTILE appended to each text that is not an id, a time or one of a set."""
    from astbtd.lib.serialization import Decoder, to_plain

    kept = {"id", "host_id", "state", "source", "found", "identity_from", "ended", "symbols", "verdict", "kind"}
    kept |= {"memory_corruption", "finding", "locks_cli", "asked_by", "owner_state"}

    def change(value: Any, key: str) -> Any:
        if isinstance(value, dict):
            return {name: change(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [change(item, key) for item in value]
        is_text = isinstance(value, str) and key not in kept and not key.endswith(("_at", "at", "seen"))
        return value + HOSTILE if is_text else value

    decoder = Decoder(strict=False)
    poisoned = decoder.decode(type(record), change(to_plain(record), ""), "")
    assert poisoned is not None, decoder.problems
    return poisoned


@pytest.mark.parametrize("kind", ["crash", "capture"])
def test_hostile_text_becomes_no_markup(kind: str) -> None:
    document = Document(hostile_pages()[kind])

    assert set(document.tags) & FORBIDDEN == set()
    assert {name for name in document.attributes if not ALLOWED_ATTRIBUTES.fullmatch(name)} == set()
    assert document.tags.count("style") == 1
    assert document.tags.count("meta") == 5


@pytest.mark.parametrize("kind", ["crash", "capture"])
def test_hostile_text_is_shown_as_text_with_its_control_characters_escaped(kind: str) -> None:
    page = hostile_pages()[kind]

    assert HOSTILE.replace("\x1b", r"\x1b").replace("\u202e", r"\u202e") in Document(page).text
    assert "\x1b" not in page
    assert page.isascii()


def test_template_syntax_in_texts_is_not_evaluated() -> None:
    assert "1337" not in hostile_pages()["crash"].replace("7 * 191", "")


def test_the_policy_allows_nothing_but_the_one_style_sheet() -> None:
    page = render_page(crash(), {})
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()

    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)

    assert policy.replace("&#39;", "'").split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert page.index("Content-Security-Policy") < page.index("<style>")


def test_without_jinja2_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "jinja2":
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)

    with pytest.raises(JinjaMissing) as caught:
        render_page(crash(), {})

    assert caught.value.remedy == "apt-get install python3-jinja2"
