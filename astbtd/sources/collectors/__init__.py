"""Programs that collect cores before us: where they keep them, and what they tell of a crash besides the core."""
