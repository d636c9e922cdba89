"""What the store removes, and when."""
