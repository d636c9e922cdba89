"""Snapshots of a running Asterisk: its threads are stopped for a moment, and an ELF core is written."""
