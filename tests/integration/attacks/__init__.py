"""What an attacker can do who owns Asterisk: docs/security.md lists these tests."""
