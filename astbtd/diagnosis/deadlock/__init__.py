"""Threads that wait for one another."""
