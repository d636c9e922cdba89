"""Where cores come from: places, events, the core file itself, and the claim on it."""
