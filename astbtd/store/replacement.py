"""Replace the texts and the record of a crash by those of a repeated extraction, in one rename.

The new directory is completed first: the core and other files are linked into it. Then it changes places with the old
one. Where the file system cannot do that (NFS), each text is renamed, the record last.
"""

import os
from collections.abc import Callable
from pathlib import Path

from astbtd.lib import files
from astbtd.lib.exchange import exchange
from astbtd.model.crash import RECORD_FILE, REPORT_FILE, Crash, Section
from astbtd.store import record
from astbtd.store.store import Store

_OLD_TEXTS = {REPORT_FILE, RECORD_FILE, *Section}


def replace_texts(
    store: Store, crash_id: str, staged: Path, update: Callable[[Crash], Crash], write_report: Callable[[Crash], None]
) -> Crash:
    """Replace the texts of a crash by those in the directory `staged`, and its record by what `update` returns for it.

    `write_report` writes the report of the new record into `staged`. Afterwards, `staged` has the old files or is gone.
    Return the new record. Raise DamagedRecord, NoRoom, or AstbtdError if that is not possible: the old files stand.
    """
    with files.wrap_os_error(f"cannot replace the texts of {crash_id}"), store.change_lock():
        after = update(store.load(crash_id))
        write_report(after)
        files.write_new(staged / RECORD_FILE, record.to_json(after), group=store.group)
        directory = store.directory(crash_id)
        for name in sorted(set(os.listdir(directory)) - _OLD_TEXTS - set(os.listdir(staged))):
            files.link(directory / name, staged / name)
        files.sync_tree(staged)
        if not exchange(staged, directory):
            _replace_one_by_one(staged, directory)
        return after


def _replace_one_by_one(staged: Path, directory: Path) -> None:
    """Rename each new file over the old one, the record last: until then, the old record describes what is there."""
    names = sorted(os.listdir(staged), key=lambda name: name == RECORD_FILE)
    for name in names:
        files.move(staged / name, directory / name)
    for name in set(os.listdir(directory)) & _OLD_TEXTS - set(names):
        files.remove(directory / name)
    files.sync_directory(directory)
