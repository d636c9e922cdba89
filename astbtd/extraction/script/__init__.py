"""What runs inside gdb, unprivileged, in gdb's own Python: it turns one core into the sections of a crash.

Nothing of astbtd's imports it: it reaches gdb as an archive in memory, with what it imports of the rest of the package.
gdb may bring a Python as old as 3.7.
"""
