"""Figures for Prometheus: what the store and the daemon's state say, as a file for the node exporter."""
