"""The checks of readiness."""
