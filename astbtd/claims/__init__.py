"""Find out whether a file is a core of Asterisk, and claim it so that it cannot be lost."""
