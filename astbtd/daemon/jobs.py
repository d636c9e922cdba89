"""The jobs of the worker, and the interface of the object that does them."""

from dataclasses import dataclass
from typing import Protocol

from astbtd.claims.claim import Claim
from astbtd.claims.finder import CoreRenamed


@dataclass(frozen=True)
class ProcessClaim:
    """Take a claimed core through the pipeline."""

    claim: Claim


@dataclass(frozen=True)
class RecordRename:
    """Record the new path of a core that was collected before."""

    rename: CoreRenamed


@dataclass(frozen=True)
class RunMaintenance:
    """Run the maintenance that is due. `idle`: no core is waiting to be processed."""

    idle: bool


Job = ProcessClaim | RecordRename | RunMaintenance


@dataclass(frozen=True)
class ClaimProcessed:
    """A claim was processed, and is no longer the worker's. `maintenance_is_urgent`: run it before the next claim."""

    maintenance_is_urgent: bool = False


class JobHandler(Protocol):
    """Does the jobs, in the worker's thread. A method that raises has its job deferred, and the failure reported.

    Interrupted means that the worker is stopping; it is not reported.
    """

    def process_claim(self, claim: Claim) -> ClaimProcessed:
        """Take a claimed core through the pipeline."""

    def record_rename(self, rename: CoreRenamed) -> bool:
        """Record the new path of a core; return False if its crash is not recorded yet."""

    def run_maintenance(self, *, idle: bool) -> None:
        """Run the maintenance that is due."""

    def report_failure(self, job: Job, error: Exception) -> None:
        """Report that a job failed and will be retried. Must not raise."""
