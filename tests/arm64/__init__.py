"""The tests on arm64: an emulated machine with Debian 12, and what runs in it."""
