"""Analyze one core with gdb: extract it, and diagnose the result.

Loading the diagnosis takes as long as a quarter of gdb's work. A command that processes one core loads it while gdb
runs; the daemon has loaded it before. Both read the backtrace while gdb writes the tables, which come last.
"""

import importlib
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from astbtd.extraction.extracted_core import OpenForGdb
from astbtd.extraction.gdb_runner import Extractor

if TYPE_CHECKING:
    from astbtd.pipeline.core_diagnosis import AnalysisResult, CoreDiagnosis

_USED_AFTERWARDS = ("crash_record", "crash_report")


def analyze_core(
    open_core: OpenForGdb,
    directory: Path,
    extractor: Extractor,
    *,
    crash_thread_only: bool = False,
    meanwhile: Callable[[], object] = lambda: None,
) -> "AnalysisResult":
    """Extract a core into the empty `directory` and diagnose the backtrace; it is opened when gdb has been started.

    With `crash_thread_only`, only as much is extracted as is needed to recognize a crash of a loop. `meanwhile` is
    called while gdb runs. Raises what Extractor.extract raises.
    """

    @cache
    def diagnosis() -> "CoreDiagnosis":
        for module in _USED_AFTERWARDS:
            importlib.import_module(f"astbtd.pipeline.{module}")
        from astbtd.pipeline.core_diagnosis import CoreDiagnosis

        return CoreDiagnosis(open_core(), directory)

    def work_meanwhile() -> None:
        diagnosis()
        meanwhile()

    began = time.time()
    extractor = replace(extractor, meanwhile=work_meanwhile, backtrace_written=lambda: diagnosis().read_backtrace())
    extracted = extractor.extract(open_core, directory, crash_thread_only=crash_thread_only)
    return diagnosis().diagnose(extractor, extracted, began)
