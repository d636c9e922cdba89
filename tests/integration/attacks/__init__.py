"""What has been done to crash handlers, tried on the running daemon: docs/security.md has the list."""
