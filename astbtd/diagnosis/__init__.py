"""From text to meaning: pure functions over what gdb printed."""
