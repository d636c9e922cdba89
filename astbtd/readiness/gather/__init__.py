"""Gathers the facts from /proc, systemd, files, gdb and the console of Asterisk, each with a timeout."""
