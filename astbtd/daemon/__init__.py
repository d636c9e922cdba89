"""The daemon: main loop, worker thread, monitors, maintenance, status."""
