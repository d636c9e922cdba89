"""Asterisk itself: its processes, its console, its start script."""
