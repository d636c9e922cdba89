"""`astbtd symbols`: download the debug files that the daemon asks for. astbtd-symbols.service runs it."""

import argparse
import os
import shutil
from pathlib import Path

from astbtd.cli.common import load_settings, warn, write_text
from astbtd.cli.repeated_step import run_repeated
from astbtd.errors import AstbtdError, ExitCode
from astbtd.lib import files, subprocesses
from astbtd.settings import Settings
from astbtd.symbols.debuginfod_client import INSTALL, PROGRAM, DebuginfodClient
from astbtd.symbols.download import Download, summarize
from astbtd.symbols.symbol_directories import STEP, SymbolDirectories


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no options: what to download is in a file that the daemon writes."""


def run(options: argparse.Namespace) -> ExitCode:
    """Download, and print how many files were found. A unit logs a failure once, not at each start."""
    return run_repeated(STEP, "downloading debug files", lambda: _run(load_settings(options)))


def _run(settings: Settings) -> None:
    if not settings.symbols.debuginfod:
        write_text("symbols.debuginfod lists no server: nothing is downloaded\n")
        return
    if shutil.which(PROGRAM, path=subprocesses.ENVIRONMENT["PATH"]) is None:
        raise AstbtdError(f"{PROGRAM} is not installed", INSTALL)
    answers = _download(settings).run()
    write_text(f"{summarize(answers)}\n")


def _download(settings: Settings) -> Download:
    directories = SymbolDirectories(Path(settings.symbols.directory))
    if os.geteuid() == 0:
        raise AstbtdError(
            "what comes from a server must not be handled by root", "systemctl start astbtd-symbols.service"
        )
    with files.wrap_os_error(f"cannot use {directories.downloads}"):
        directories.downloads.stat()
    client = DebuginfodClient(
        settings.symbols.debuginfod, settings.symbols.time, settings.symbols.size, directories.work
    )
    return Download(directories, client, settings.retention.minimum_free, lambda line: warn([line]))
