"""The layers of the package: imports point to lower layers only, and packages of one layer do not import each other."""

from graphlib import TopologicalSorter

import pytest

from tests.support.package_source import GDB_SCRIPT, all_imports, loaded_with, modules

LAYERS = (  # highest first; a module may import its own package and lower layers
    ("__main__",),
    ("cli",),
    ("daemon",),
    ("notify",),
    ("pipeline",),
    ("html", "metrics", "readiness", "tracker", "watch"),
    ("claims",),
    ("announce", "capture", "diagnosis", "extraction", "sources", "store", "symbols"),
    ("settings",),
    ("asterisk", "backtrace", "elf", "sources.collectors"),  # the settings get their defaults from the collectors
    ("lib",),
    ("", "errors", "model"),  # the package itself holds the version
)


def package_of(module: str) -> str:
    """Return the name of a module's package below astbtd, or its own name if it is in none."""
    if f"{module}.".startswith("astbtd.sources.collectors."):
        return "sources.collectors"
    return (*module.split("."), "")[1]


def layer(module: str) -> int:
    return next(index for index, packages in enumerate(LAYERS) if package_of(module) in packages)


def test_the_source_is_found() -> None:
    assert {"astbtd", "astbtd.pipeline.crash_pipeline", "astbtd.claims.claim", GDB_SCRIPT} <= modules().keys()
    assert "astbtd.daemon.main_loop" in all_imports("astbtd.cli.commands.run")


def test_every_module_belongs_to_a_layer() -> None:
    packages = {name for names in LAYERS for name in names}

    assert {module for module in modules() if package_of(module) not in packages} == set()


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_point_down(module: str) -> None:
    assert {other for other in all_imports(module) if layer(other) < layer(module)} == set()


@pytest.mark.parametrize("module", sorted(modules()))
def test_packages_of_one_layer_do_not_import_each_other(module: str) -> None:
    same_layer = set(LAYERS[layer(module)]) - {package_of(module)}

    assert {other for other in all_imports(module) if package_of(other) in same_layer} == set()


def test_there_are_no_import_cycles() -> None:
    TopologicalSorter({module: all_imports(module) - {module} for module in modules()}).prepare()


@pytest.mark.parametrize(
    "verb",
    ["list", "show", "top", "core", "report_issue", "pin", "prune", "check", "check_config", "diagnose", "extract"],
)
def test_reading_verbs_work_without_systemd(verb: str) -> None:
    assert "astbtd.announce.systemd" not in loaded_with(f"astbtd.cli.commands.{verb}")


def test_the_daemon_does_not_load_the_commands() -> None:
    assert {module for module in loaded_with("astbtd.daemon.main_loop") if package_of(module) == "cli"} == set()


def test_the_daemon_does_not_load_code_that_traces_processes() -> None:
    assert "astbtd.capture.ptrace" not in loaded_with("astbtd.daemon.main_loop")
    assert "astbtd.capture.ptrace" in loaded_with("astbtd.cli.commands.deadlock")


def test_the_daemon_does_not_load_watchdog_until_a_directory_is_polled() -> None:
    assert "astbtd.watch.directory_watch" in loaded_with("astbtd.daemon.main_loop")
    assert "astbtd.watch.polling" not in loaded_with("astbtd.daemon.main_loop")


def test_extraction_to_a_directory_loads_the_examination_and_the_diagnosis_while_gdb_runs() -> None:
    loaded = {package_of(module) for module in loaded_with("astbtd.cli.commands.extract")}

    assert "extraction" in loaded
    assert not {"claims", "sources", "diagnosis", "backtrace", "readiness", "announce"} & loaded
