"""The `astbtd` command: one module per group of verbs, each thin."""
