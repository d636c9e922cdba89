"""Reading `bt full`: the frames with their variables, and what is shown of them."""

from astbtd.html.frame_views import FrameView, read_threads, show_frames

TEXT = """\
$1 = {si_signo = 11, si_errno = 0}

Thread 1 (Thread 0x7f01 (LWP 4243)):
#0  0x0000000000000001 in do_forward (chan=0x7f, name=0x2 "alice") at /usr/src/app_dial.c:19
        forwarder = 0x0
        args = {
          context = "default"
        }
#1  0x0000000000000002 in try_calling () from /usr/lib/asterisk/modules/app_queue.so
No symbol table info available.
#2  <signal handler called>
#3  0x0000000000000003 in ?? ()
Backtrace stopped: previous frame inner to this frame (corrupt stack?)

Thread 2 (Thread 0x7f02 (LWP 4244)):
#0  0x0000000000000004 in poll () from /lib/libc.so.6
"""


def test_each_thread_has_its_frames_and_numbers() -> None:
    first, second = read_threads(TEXT)

    assert (first.number, first.lwp, len(first.frames)) == (1, 4243, 4)
    assert (second.number, second.lwp, len(second.frames)) == (2, 4244, 1)


def test_a_frame_is_shown_with_arguments_and_variables_without_their_common_indentation() -> None:
    shown = next(show_frames(read_threads(TEXT)[0]))

    assert shown == FrameView(
        level=0,
        function="do_forward",
        place="app_dial.c:19",
        arguments='chan=0x7f, name=0x2 "alice"',
        variables='forwarder = 0x0\nargs = {\n  context = "default"\n}',
    )


def test_frames_without_a_name_a_source_or_variables_are_shown_too() -> None:
    _, *others = show_frames(read_threads(TEXT)[0])

    assert [(each.function, each.place, each.variables, each.remark) for each in others] == [
        ("try_calling", "app_queue.so", "", ""),
        ("<signal handler called>", "", "", ""),
        ("??", "", "", ""),
        ("", "", "", "Backtrace stopped: previous frame inner to this frame (corrupt stack?)"),
    ]


def test_repeated_frames_are_folded_and_long_stacks_cut() -> None:
    recursion = "\n".join(f"#{level}  0x1 in again () at a.c:1" for level in range(300))
    different = "\n".join(f"#{level}  0x1 in f{level} () at a.c:1" for level in range(300))

    folded = list(show_frames(read_threads(recursion)[0]))
    cut = list(show_frames(read_threads(different)[0]))

    assert "repeated" in folded[1].remark
    assert (len(cut), cut[-1].remark) == (201, "... and 100 more frames, in the text files")


def test_huge_values_are_cut() -> None:
    (thread,) = read_threads(f'#0  0x1 in f (a="{"x" * 100_000}") at a.c:1\n        b = "{"y" * 100_000}"\n')

    (shown,) = show_frames(thread)

    assert len(shown.arguments) + len(shown.variables) < 140_000
    assert shown.variables.endswith("(the rest is in the text files)")


def test_junk_has_no_threads() -> None:
    assert read_threads("junk\n    more\n") == []
