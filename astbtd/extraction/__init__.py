"""From a core to text: gdb, unprivileged and bounded, each section on its own descriptor."""
