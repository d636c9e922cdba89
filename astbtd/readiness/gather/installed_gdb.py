"""Starts gdb once, as confined as for a core, and sees what it says of itself."""

import re
import shutil

from astbtd.errors import AstbtdError
from astbtd.extraction.sandbox_command import account, confined
from astbtd.lib import subprocesses
from astbtd.readiness.facts import Gdb
from astbtd.readiness.gather.timeout import SECONDS
from astbtd.settings import GdbSettings

_PYTHON = "astbtd found Python"


def gdb(settings: GdbSettings) -> Gdb:
    """The debugger of the settings, as the user that runs it meets it."""
    if shutil.which(settings.program, path=subprocesses.ENVIRONMENT["PATH"]) is None:
        return Gdb(settings.program, None, python=False, problem=f"{settings.program} is not installed")
    arguments = ["-nx", "-nh", "--batch", "-ex", "show version", "-ex", f"python print('{_PYTHON}')"]
    try:
        argv = confined([settings.program, *arguments], account(settings.user), settings)
        finished, text = subprocesses.output(argv, timeout=SECONDS - 1)
    except AstbtdError as error:
        return Gdb(settings.program, None, python=False, problem=error.message, remedy=error.remedy or None)
    version = re.search(r"^GNU gdb .*?([0-9][0-9.]*)\S*$", text, re.MULTILINE)
    if version is None:
        said = text.strip().splitlines()[-1:] or [finished.ended.value]
        return Gdb(settings.program, None, python=False, problem=f"{settings.program} does not work: {said[0]}")
    return Gdb(settings.program, version[1], python=_PYTHON in text, problem=None)
