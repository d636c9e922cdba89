"""What the checks learn from the outside."""
