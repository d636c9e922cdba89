"""The daemon: main loop, worker thread, timers, status."""
