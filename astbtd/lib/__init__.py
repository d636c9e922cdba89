"""What any program of this kind needs: files, subprocesses, timers, escaping, parsing of sizes and times."""
