"""Where crashes are kept: the store, the cores in it, and how long they stay."""
