"""Fixtures of the attack tests."""

import shutil
from pathlib import Path

import pytest

from tests.support.attackers import ASTERISK, ASTERISK_GROUP


@pytest.fixture
def spool(scratch: Path) -> Path:
    """The working directory of Asterisk. Its user owns the directory and the one above."""
    directory = scratch / "asterisk" / "spool"
    directory.mkdir(parents=True)
    for each in (directory, directory.parent):
        shutil.chown(each, ASTERISK, ASTERISK_GROUP)
    return directory
