"""The outside world of `astbtd check`: /proc, systemd, files, gdb and Asterisk's console; each with a time limit."""
