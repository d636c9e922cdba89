"""The summary of what retention removes."""

import pytest

from astbtd.store.retention.removal_plan import Removal, summarize
from astbtd.store.retention.stored_crash import RemovedPart


@pytest.mark.parametrize(
    ("parts", "summary"),
    [
        ([RemovedPart.CORE], "1 core (1.0K)"),
        ([RemovedPart.CORE, RemovedPart.CORE, RemovedPart.TEXT], "2 cores, the texts of 1 crash (3.0K)"),
        ([RemovedPart.TEXT, RemovedPart.TEXT, RemovedPart.RECORD], "the texts of 2 crashes, 1 record (3.0K)"),
    ],
)
def test_removals_summarize(parts: list[RemovedPart], summary: str) -> None:
    assert summarize([Removal("x", part, 1024, "") for part in parts]) == summary
