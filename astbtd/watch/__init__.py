"""Watch directories and scan them for cores."""
