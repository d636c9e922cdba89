"""The `astbtd` command. Verbs are thin: they parse options, call the packages below, and print."""
