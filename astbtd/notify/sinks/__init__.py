"""Where notifications are delivered: one module for each kind of server."""
