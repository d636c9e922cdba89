"""Fills in the template of the page. This is the only module that imports jinja2.

Everything that is inserted is escaped twice: control characters, and those that reverse the direction of text, as on a
terminal; then for HTML. The page has no scripts, and its content security policy allows none, nor any request. It
allows one style sheet by its hash, so that nothing inserted could become another one.
"""

import base64
import hashlib
import importlib.util
from pathlib import Path
from typing import Any

from astbtd.errors import AstbtdError
from astbtd.lib.escaping import printable

_DIRECTORY = Path(__file__).parent / "templates"
_TEMPLATE = "page.html"
_STYLE = "page.css"


class JinjaMissing(AstbtdError):
    """jinja2 is not installed."""

    def __init__(self) -> None:
        super().__init__("an HTML page needs jinja2, which is not installed", "apt-get install python3-jinja2")


def is_available() -> bool:
    """Return whether jinja2 is installed."""
    return importlib.util.find_spec("jinja2") is not None


def fill_in(**values: object) -> str:
    """Return the page with these values, in ASCII, so that the locale does not matter. Raise JinjaMissing."""
    try:
        import jinja2
    except ImportError:
        raise JinjaMissing from None

    def escape_controls(value: object) -> Any:
        is_plain_text = isinstance(value, str) and not hasattr(value, "__html__")
        return printable(str(value)) if is_plain_text else value

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_DIRECTORY),
        autoescape=True,
        finalize=escape_controls,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style = (_DIRECTORY / _STYLE).read_text()
    page = environment.get_template(_TEMPLATE).render(style=style, policy=content_policy(style), **values)
    return str(page).encode("ascii", "xmlcharrefreplace").decode()


def content_policy(style: str) -> str:
    """Return the content security policy for a page with this style sheet."""
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
