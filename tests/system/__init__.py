"""System tests: astbtd beside a real Asterisk, under a real systemd."""
