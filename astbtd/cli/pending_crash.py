"""Crashes that the daemon is processing: a claim that a running process holds is one, until its core is kept."""

import time

from astbtd.claims.claim_file import ClaimFiles
from astbtd.cli.common import Progress
from astbtd.errors import AstbtdError
from astbtd.store.store import Store

_POLL_SECONDS = 0.2
_LONGEST_WAIT = 900.0  # seconds; gdb and the compression of a large core may take minutes


def find_newest(store: Store) -> str | None:
    """Return the id of the newest crash of the PBX that is being processed, if no newer one is complete.

    Only root can see it: others may not read the claims.
    """
    claims = ClaimFiles(store.incoming)
    newest_recorded = next(store.newest_of_pbx(), "")
    for crash_id in sorted(claims.ids(), reverse=True):
        if crash_id < newest_recorded:
            return None
        record = claims.read(crash_id)
        if record and not record.foreign and claims.is_held(crash_id):
            return crash_id
    return None


def wait_until_processed(store: Store, crash_id: str) -> None:
    """Wait until the daemon has processed a crash; return at once if it does not process it.

    Raise AstbtdError after 15 minutes: the crash may be postponed, for example on a full disk.
    """
    claims = ClaimFiles(store.incoming)
    deadline = time.monotonic() + _LONGEST_WAIT
    with Progress(f"waiting for crash {crash_id}, which is being processed") as progress:
        while claims.is_held(crash_id):
            if time.monotonic() > deadline:
                minutes = round(_LONGEST_WAIT / 60)
                raise AstbtdError(
                    f"crash {crash_id} is still being processed after {minutes} minutes", "systemctl status astbtd"
                )
            progress.tick()
            time.sleep(_POLL_SECONDS)
