"""Lets `python -m astbtd` stand for the `astbtd` command."""

from astbtd.cli.main import command

command()
