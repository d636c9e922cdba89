"""Tests of astbtd.tracker."""
