"""The site of a crash: the exact place in one build, from gdb's frames and the code map of the core."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from astbtd.backtrace.parser import parse
from astbtd.diagnosis.crash_function import CrashStack
from astbtd.diagnosis.signature import compute_signature
from astbtd.model.crash import Site, SiteFrame
from astbtd.model.diagnosis import DecidedSignature
from astbtd.pipeline.crash_site import FrameLocator, locate_recorded, site_key
from tests.support.builders import DeadProcess, crash

MODULES = "/usr/lib/asterisk/modules"
MAPPED = ("/usr/sbin/asterisk", f"{MODULES}/app_rpt.so", f"{MODULES}/chan_iax2.so", "/usr/lib/libc.so.6")
ASTERISK, RPT, IAX, LIBC = (0x10000000 + index * 0x100000 for index in range(4))
AO2 = f"#0  {ASTERISK + 0x10:#x} in __ao2_ref ()\n"


@contextmanager
def locator_of(directory: Path, process: DeadProcess) -> Iterator[FrameLocator]:
    path = directory / "core"
    path.write_bytes(process.core())
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield FrameLocator.from_core(descriptor)
    finally:
        os.close(descriptor)


@pytest.fixture
def locator(tmp_path: Path) -> Iterator[FrameLocator]:
    with locator_of(tmp_path, DeadProcess(mapped=MAPPED, returns_to=(0x10, 0x20))) as made:
        yield made


def located(locator: FrameLocator, text: str) -> CrashStack:
    frames = parse(f"Thread 1 (LWP 1):\n{text}").threads[0].frames
    return CrashStack.from_frames(locator.locate(frames))


def signature(locator: FrameLocator, text: str) -> DecidedSignature | None:
    return compute_signature(located(locator, text), has_core=True)


def signature_text(locator: FrameLocator, text: str) -> str | None:
    decided = signature(locator, text)
    return decided.text if decided else None


def site(locator: FrameLocator, text: str, fingerprint: str | None = None) -> Site | None:
    return locator.site(located(locator, text), fingerprint)


def test_an_unnamed_function_below_a_generic_one_is_the_place(locator: FrameLocator) -> None:
    text = f"{AO2}#1  {RPT + 0x139:#x} in ?? () from {MAPPED[1]}\n#2  {RPT + 0x200:#x} in load_module ()\n"

    found = site(locator, text)

    assert found is not None
    assert found.frames == (
        SiteFrame("ab" * 20, MAPPED[0], "0x10"),
        SiteFrame("ab" * 20, MAPPED[1], "0x139"),
    )
    assert signature_text(locator, text) == "fault in app_rpt.so+0x139"


@pytest.mark.parametrize(
    "other",
    [
        f"#1  {IAX + 0x139:#x} in ?? () from {MAPPED[2]}\n",  # another module
        f"#1  {RPT + 0x140:#x} in ?? () from {MAPPED[1]}\n",  # another offset
    ],
)
def test_unnamed_functions_at_different_places_share_nothing(locator: FrameLocator, other: str) -> None:
    text = f"{AO2}#1  {RPT + 0x139:#x} in ?? () from {MAPPED[1]}\n"

    assert signature(locator, text) != signature(locator, AO2 + other)
    assert signature_text(locator, AO2 + other) is not None


def test_the_frames_of_the_main_program_have_no_object_in_the_text_and_are_located_all_the_same(
    locator: FrameLocator,
) -> None:
    text = f"#0  {LIBC + 0x10:#x} in ?? ()\n#1  {ASTERISK + 0x300:#x} in ?? ()\n#2  0x3 in main ()\n"

    assert signature_text(locator, text) == "fault in asterisk+0x300"


def test_an_unnamed_part_of_a_generic_function_is_not_the_place(locator: FrameLocator) -> None:
    helper = f"#0  {ASTERISK + 0x8:#x} in ?? ()\n#1  {ASTERISK + 0x10:#x} in __ao2_ref ()\n"

    assert signature_text(locator, f"{helper}#2  {RPT + 0x50:#x} in ?? ()\n") == "fault in app_rpt.so+0x50"
    callback = helper.replace("__ao2_ref", "__ao2_callback")
    assert signature_text(locator, f"{callback}#2  {RPT + 0x50:#x} in ?? ()\n") == "fault in asterisk+0x8"


@pytest.mark.parametrize(
    "library",
    ["SSL_read", "SQLExecDirect", "luaV_execute", "curl_easy_perform", "speex_bits_pack", "malloc", "__ao2_ref"],
)
def test_functions_that_serve_many_callers_do_not_decide(locator: FrameLocator, library: str) -> None:
    text = f"#0  {LIBC + 0x10:#x} in {library} ()\n#1  {RPT + 0x50:#x} in play () at p.c:1\n"

    found = site(locator, text)

    assert (signature_text(locator, text) or "").endswith(" in play")
    assert found is not None
    assert found.frames[-1] == SiteFrame("ab" * 20, MAPPED[1], "0x50")


def test_wild_program_counters_share_nothing(locator: FrameLocator) -> None:
    wild = [f"#0  {address:#x} in ?? ()\n#1  0x0 in ?? ()\n" for address in (0x41, 0x4141, 0x414141, 0x42, 0x43)]

    assert [signature(locator, text) for text in wild] == [None] * 5
    assert [site(locator, text) for text in wild] == [None] * 5
    assert len({site(locator, text, fingerprint=str(index)) for index, text in enumerate(wild)}) == 5


def test_a_wild_program_counter_does_not_hide_the_caller(locator: FrameLocator) -> None:
    first, second = (
        site(locator, f"#0  {wild:#x} in ?? ()\n#1  {RPT + 0x50:#x} in play () at p.c:1\n") for wild in (0x41, 0x42)
    )

    assert first is not None
    assert second is not None
    assert first.id == second.id
    assert first.frames[0] == SiteFrame(None, None, "0x41")


def test_without_code_of_asterisk_the_fingerprint_is_the_site(locator: FrameLocator) -> None:
    text = f"#0  {LIBC + 0x10:#x} in raise ()\n#1  {LIBC + 0x20:#x} in abort ()\n"

    assert site(locator, text) is None
    one, other = site(locator, text, "f1"), site(locator, text, "f2")
    assert one is not None
    assert other is not None
    assert one.id != other.id


def test_the_program_counter_replaces_a_missing_address(locator: FrameLocator) -> None:
    found = site(locator, "#0  play () at p.c:1\n#1  0x2 in main () at m.c:2\n")

    assert found is not None
    assert found.frames == (SiteFrame("ab" * 20, MAPPED[0], "0x10"),)


def test_an_inlined_function_has_the_address_of_its_caller(locator: FrameLocator) -> None:
    text = (
        f"{AO2}#1  play () at p.c:1\n#2  {RPT + 0x50:#x} in outer () at p.c:9\n#3  {RPT + 0x60:#x} in f () at p.c:1\n"
    )

    found = site(locator, text)

    assert found is not None
    assert [frame.offset for frame in found.frames] == ["0x10", "0x50"]


def test_another_build_is_another_site(locator: FrameLocator, tmp_path: Path) -> None:
    text = f"#0  {ASTERISK + 0x10:#x} in play () at p.c:1\n"
    (tmp_path / "other").mkdir()
    with locator_of(tmp_path / "other", DeadProcess(mapped=MAPPED, build_id=b"\xcd" * 20)) as other:
        assert site(other, text) != site(locator, text)


def test_another_user_or_program_makes_another_key() -> None:
    process, place = crash().process, Site("s")
    others = [replace(process, uid=1), replace(process, build_id="cd"), process]

    assert len({site_key(each, place) for each in others}) == 3
    assert site_key(process, None) is None


def test_recorded_sites_give_frames_their_offsets_again(locator: FrameLocator) -> None:
    text = f"{AO2}#1  {RPT + 0x139:#x} in ?? () from {MAPPED[1]}\n#2  {RPT + 0x200:#x} in load_module ()\n"
    found = site(locator, text)
    frames = parse(f"Thread 1 (LWP 1):\n{text}").threads[0].frames

    assert found is not None
    again = compute_signature(CrashStack.from_frames(locate_recorded(frames, found)), has_core=True)

    assert again == signature(locator, text)
