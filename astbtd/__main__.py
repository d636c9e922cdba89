"""Entry point of `python -m astbtd`."""

from astbtd.cli.main import command

command()
