"""General-purpose building blocks: files, subprocesses, threads, the event loop, text and data formats."""
