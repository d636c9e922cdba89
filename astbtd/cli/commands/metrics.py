"""`astbtd metrics`: write the figures of the store for Prometheus' node exporter. astbtd-metrics.service runs it."""

import argparse
from pathlib import Path

from astbtd.cli.common import load_settings, write_text
from astbtd.cli.repeated_step import run_repeated
from astbtd.errors import AstbtdError, ExitCode
from astbtd.lib import files
from astbtd.lib.path_walk import opened_directory, replace_file
from astbtd.metrics.figures import gather
from astbtd.model.daemon_state import UNIT_DIRECTORY
from astbtd.notify.unit_steps import UnitSteps
from astbtd.settings import Settings
from astbtd.store.store import Store

_FILE = "astbtd.prom"
_INSTALL = "apt install python3-prometheus-client"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--print", action="store_true", help="print the figures instead of writing the file")


def run(options: argparse.Namespace) -> ExitCode:
    """Write the file, or print what would be in it."""
    if options.print:
        write_text(_format(load_settings(options)).decode())
        return ExitCode.DONE
    return run_repeated("metrics", "writing the metrics", lambda: _write(load_settings(options)))


def _format(settings: Settings) -> bytes:
    try:
        from astbtd.metrics.exposition import format_figures
    except ModuleNotFoundError as error:
        raise AstbtdError("the metrics need the Python package prometheus_client", _INSTALL) from error
    return format_figures(gather(Store(Path(settings.store)), Path(UNIT_DIRECTORY), UnitSteps(settings).count_failed))


def _write(settings: Settings) -> None:
    text = _format(settings)
    directory = Path(settings.metrics.textfile)
    if not directory.is_dir():
        remedy = "install prometheus-node-exporter, or set metrics.textfile to the directory that it reads"
        raise AstbtdError(f"there is no directory {directory} (setting metrics.textfile)", remedy)
    # The directory, or one above it, may belong to the user of a monitoring program.
    with files.wrap_os_error(f"cannot write {directory / _FILE}"), opened_directory(directory) as opened:
        replace_file(opened, _FILE, text, files.EVERYBODY_READS)  # the node exporter has a user of its own
