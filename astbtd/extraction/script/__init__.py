"""The script that runs inside gdb, in gdb's own Python: it turns one core into the sections of a crash.

No other code of astbtd imports it. gdb imports it, and what it imports of the package, from an archive in memory. Keep
it valid for Python 3.7, the oldest that a supported gdb has.
"""
