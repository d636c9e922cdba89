"""Every time that the program prints shows its zone."""

import ast
from collections.abc import Iterator

from tests.support.package_source import calls, gdb_script_modules, modules

WITHOUT_ZONE = {
    "astbtd.pipeline.crash_log": 1,  # the lines of a log, below a heading with the zone
}
"""Modules with formats of a time that have no zone, how many, and why."""


def formatted_times(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield each format of a time of day in an f-string, and the text that follows it there."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.JoinedStr):
            continue
        for value, following in zip(node.values, [*node.values[1:], None], strict=True):
            spec = ast.unparse(value.format_spec) if isinstance(value, ast.FormattedValue) and value.format_spec else ""
            if "%H" in spec:
                yield spec.strip("f'\""), str(following.value) if isinstance(following, ast.Constant) else ""


def has_zone(spec: str, following: str) -> bool:
    return spec.endswith(("%Z", "%z", "Z")) or following.startswith(" UTC")


def test_times_are_found() -> None:
    assert list(formatted_times(ast.parse("f'{moment:%H:%M} UTC'"))) == [("%H:%M", " UTC")]
    assert has_zone("%H:%M", " UTC on pbx1")
    assert not has_zone("%H:%M", "")


def test_every_formatted_time_has_its_zone() -> None:
    without = {}
    for name, tree in modules().items():
        if found := [spec for spec, following in formatted_times(tree) if not has_zone(spec, following)]:
            without[name] = len(found)

    assert without == WITHOUT_ZONE


def test_times_are_formatted_in_f_strings_only() -> None:
    others = set(modules()) - gdb_script_modules()

    assert [name for name in others for call in calls(name) if getattr(call.func, "attr", "") == "strftime"] == []
