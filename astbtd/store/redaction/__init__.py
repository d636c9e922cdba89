"""Redaction of the texts of a bundle: what gdb prints is tokenized, and rules replace private data in it."""
