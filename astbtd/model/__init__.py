"""Data structures shared by all packages: the contents of crash.json and deadlock.json."""
