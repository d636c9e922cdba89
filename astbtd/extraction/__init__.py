"""From a core to text: one gdb run, unprivileged and limited, with one descriptor for each output file."""
