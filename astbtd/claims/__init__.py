"""From a file to a claim that cannot be lost."""
