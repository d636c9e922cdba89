"""Tests of single parts, each by itself."""
