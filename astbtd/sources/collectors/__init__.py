"""Programs that collect cores before astbtd does, such as systemd-coredump: one module each."""
