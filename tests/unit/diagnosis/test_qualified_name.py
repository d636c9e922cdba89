"""Functions whose name several modules have are told apart by their source file or module."""

import pytest

from astbtd.diagnosis.verdict import diagnose

CRASH = """\
Program terminated with signal SIGSEGV, Segmentation fault.
#0  0x00007f9947 in {function} () at {file}:4
#1  0x0000558a91 in start_resource (mod=0x5555f2ac9000) at loader.c:1694
#2  0x0000558a92 in load_modules () at loader.c:2553
#3  0x0000558a93 in main (argc=7, argv=0x7ffdf5867b38) at asterisk.c:4112
"""


def signature(function: str, file: str) -> str:
    diagnosis = diagnose(CRASH.format(function=function, file=file))
    assert diagnosis.signature is not None
    return diagnosis.signature.text


@pytest.mark.parametrize("function", ["load_module", "unload_module", "reload", "reload_module"])
def test_the_same_name_in_two_modules_gives_two_signatures(function: str) -> None:
    assert signature(function, "res_one.c") == f"fault in {function} (res_one)"
    assert signature(function, "/usr/src/res/res_two.c") == f"fault in {function} (res_two)"


def test_the_headline_names_the_file_and_the_field_only_the_function() -> None:
    diagnosis = diagnose(CRASH.format(function="load_module", file="res_one.c"))

    assert diagnosis.headline == "Asterisk crashed: SIGSEGV in load_module (res_one)"
    assert diagnosis.crash_function == "load_module"


def test_a_name_of_one_module_stays_as_it_is() -> None:
    assert signature("ast_bridge_join", "bridge.c") == "fault in ast_bridge_join"


def test_without_a_source_file_the_module_is_named() -> None:
    text = CRASH.format(function="load_module", file="res_one.c").replace(
        "at res_one.c:4", "from /usr/lib/asterisk/modules/res_one.so"
    )

    assert "load_module (res_one)" in (diagnose(text).headline or "")
