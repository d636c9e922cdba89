"""The objects and the backtrace of a crash in a build without symbols."""

from astbtd.model.crash import MappedFile, ObjectState

PROGRAM, MODULE, LIBC, UNUSED = "ab" * 20, "01" * 20, "02" * 20, "03" * 20
OBJECTS = (
    MappedFile("/usr/lib/asterisk/modules/app_dial.so", MODULE, ObjectState.SAME),
    MappedFile("/usr/lib/x86_64-linux-gnu/libc.so.6", LIBC, ObjectState.SAME),
    MappedFile("/usr/lib/asterisk/modules/app_queue.so", UNUSED, ObjectState.SAME),
)
STRIPPED = """
Thread 1 (Thread 0x7f (LWP 1)):
#0  0x00007f0000001000 in ?? () from /usr/lib/asterisk/modules/app_dial.so
#1  0x0000560000001000 in pbx_exec ()
#2  0x00007f0000002000 in start_thread () from /lib/x86_64-linux-gnu/libc.so.6
"""
