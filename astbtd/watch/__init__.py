"""Events and scans: which files to look at."""
