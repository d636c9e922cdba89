"""The records: everything in crash.json and deadlock.json."""
