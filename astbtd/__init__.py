"""astbtd: collects, diagnoses and stores the backtraces of a crashed Asterisk."""

__version__ = "0.1.0"
