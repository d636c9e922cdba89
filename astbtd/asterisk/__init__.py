"""Asterisk: its processes, its console, its start script."""
