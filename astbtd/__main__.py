"""Lets `python -m astbtd` stand for the `astbtd` command."""

import sys

from astbtd.cli.main import main

sys.exit(main())
