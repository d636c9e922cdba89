"""Checks the executable and the modules of Asterisk: readable, with symbols, build options, unchanged on disk."""

import posixpath
import shlex
from collections.abc import Iterator, Sequence

from astbtd.lib.quantities import pluralize
from astbtd.model.crash import Asterisk
from astbtd.readiness.facts import Family, Instance
from astbtd.readiness.program_facts import FileChange, MappedObject, ObjectRole, Program
from astbtd.readiness.remedies import install_package, restart
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning

_MAX_LISTED_FILES = 3
_NEEDS_LIBBFD = "BETTER_BACKTRACES"
_FORMER_OPTIONS = "(with the other options of the first build, too: the line `$ ./configure` in its config.log)"


def check_readable(instance: Instance) -> Check:
    """Check that the user that gdb runs as can read the executable and the modules."""
    program, objects = instance.program, instance.objects
    if isinstance(program, Unknown):
        return unknown(Name.READABLE, program)
    unreadable = [] if program.readable else [program.path]
    unreadable += [mapped.path for mapped in _known(objects) if not mapped.readable]
    unreadable = list(dict.fromkeys(unreadable))
    if unreadable:
        found = f"gdb's user cannot read {_summarize(unreadable)}: copied for each crash, which takes time and space"
        return warning(Name.READABLE, found, _make_readable(unreadable))
    if isinstance(objects, Unknown) and not isinstance(instance.process, Unknown):
        return unknown(Name.READABLE, objects)
    return ok(Name.READABLE, "gdb's user can read the executable and all loaded objects")


def check_symbols(instance: Instance, family: Family) -> Check:
    """Check that the executable and the modules of Asterisk have symbols, in the file or in a separate one."""
    program = instance.program
    if isinstance(program, Unknown):
        return unknown(Name.SYMBOLS, program)
    modules = [mapped for mapped in _known(instance.objects) if _is_module(mapped, program.path)]
    stripped = _stripped_files(program, modules)
    remedy = " ".join(program.symbols_advice) or _install_symbols(program.packages, family)
    if not program.symbols and not program.exports_functions:
        found = f"{program.path} is stripped and exports no function: no frame of Asterisk would have a name"
        return failed(Name.SYMBOLS, found, remedy)
    if stripped:
        found = f"a backtrace is partial at best: {_summarize(stripped)} stripped, no separate symbols are installed"
        return warning(Name.SYMBOLS, found, remedy)
    also = f" and {pluralize(len(modules), 'module', 'modules')}" if modules else ""
    return ok(Name.SYMBOLS, f"found in {program.path}{also}")


def check_build_options(instance: Instance, family: Family) -> Iterator[Check]:
    """Check DONT_OPTIMIZE, BETTER_BACKTRACES and DEBUG_THREADS, from the console of Asterisk or else its executable."""
    built = _build_info(instance)
    options = (
        (
            Name.DONT_OPTIMIZE,
            "dont_optimize",
            "a backtrace is partial at best, values are <optimized out>",
        ),
        (Name.BETTER_BACKTRACES, "better_backtraces", "the backtraces in Asterisk's own log have no line numbers"),
        (
            Name.DEBUG_THREADS,
            "debug_threads",
            "the locks of a deadlock are not listed (it is slow: for deadlocks only)",
        ),
    )
    for name, field, consequence in options:
        has_option = built if isinstance(built, Unknown) else getattr(built, field)
        yield _check_option(name, has_option, consequence, _rebuild_with(field.upper(), instance, family))


def check_up_to_date(instance: Instance) -> Check:
    """Check that the executable and the modules on disk are still those that are running."""
    objects = instance.objects
    if isinstance(objects, Unknown):
        return unknown(Name.UP_TO_DATE, objects)
    changed = [mapped.path for mapped in objects if mapped.change]
    missing = [mapped.path for mapped in objects if _ruins_backtrace(mapped)]
    if missing:
        found = f"replaced on disk since Asterisk started: {_summarize(missing)}; a backtrace would be wrong"
        return failed(Name.UP_TO_DATE, found, restart(instance))
    if changed:
        found = f"changed on disk since Asterisk started: {_summarize(changed)}; frames in them would be wrong"
        return warning(Name.UP_TO_DATE, found, restart(instance))
    return ok(Name.UP_TO_DATE, "the running files are those on disk")


def _stripped_files(program: Program, modules: Sequence[MappedObject]) -> list[str]:
    stripped = [] if program.symbols else [program.path]
    stripped += [module.path for module in modules if not module.symbols]
    return stripped


def _is_module(mapped: MappedObject, executable: str) -> bool:
    return mapped.role is ObjectRole.ASTERISK and mapped.path != executable


def _ruins_backtrace(mapped: MappedObject) -> bool:
    """Return True if gdb lacks an object in which nearly every backtrace has frames.

    An overwritten file may have the same content: it was only written again.
    """
    if mapped.change in (None, FileChange.OVERWRITTEN):
        return False
    return mapped.role is not ObjectRole.LIBRARY


def _build_info(instance: Instance) -> Asterisk | Unknown:
    if not isinstance(instance.console, Unknown):
        return instance.console.built
    if isinstance(instance.program, Unknown):
        return instance.program
    return instance.program.built


def _check_option(name: Name, has_option: bool | Unknown | None, consequence: str, remedy: str) -> Check:
    if isinstance(has_option, Unknown):
        return unknown(name, has_option)
    if has_option is None:
        return unknown(name, Unknown("neither the executable nor the console reports the build options"))
    option = name.upper().replace("-", "_")
    if has_option:
        return ok(name, f"built with {option}")
    return warning(name, f"built without {option}: {consequence}", remedy)


def _rebuild_with(option: str, instance: Instance, family: Family) -> str:
    """Return the commands for the source tree. BETTER_BACKTRACES needs libbfd, and configure must find it."""
    source = None if isinstance(instance.program, Unknown) else instance.program.source
    enter = f"cd {shlex.quote(source.directory)} && " if source else "in Asterisk's source: "
    enable = f"make menuselect.makeopts && menuselect/menuselect --enable {option} menuselect.makeopts"
    build = f"{enable} && make && make install && {restart(instance)}"
    if option != _NEEDS_LIBBFD:
        return f"{enter}{build}"
    libbfd = install_package(family, "binutils-dev libiberty-dev", "binutils-devel")
    if source and source.configured_with is not None:
        return f"{enter}{libbfd} && {shlex.join(['./configure', *source.configured_with])} && {build}"
    configure = shlex.join(["./configure", *_library_option(instance)])
    return f"{enter}{libbfd} && {configure} && {build} {_FORMER_OPTIONS}"


def _library_option(instance: Instance) -> list[str]:
    """Return the option that keeps the directory of the modules: Asterisk would not find them in another one."""
    for mapped in _known(instance.objects):
        library, found, _ = mapped.path.partition("/asterisk/modules/")
        if mapped.role is ObjectRole.ASTERISK and found:
            return [f"--libdir={library}"]
    return []


def _install_symbols(packages: Sequence[str], family: Family) -> str:
    if family is Family.DEBIAN and packages:
        names = " ".join(f"{name}-dbgsym" for name in packages)
        return f"apt install {names}"
    if family is Family.RHEL and packages:
        return f"dnf debuginfo-install {' '.join(packages)}"
    return "install Asterisk unstripped: in its source, make && make install"


def _make_readable(paths: Sequence[str]) -> str:
    """Return a command for a few files, or for the directories of many."""
    if len(paths) <= _MAX_LISTED_FILES:
        return f"chmod o+r {shlex.join(paths)}"
    directories = dict.fromkeys(posixpath.dirname(path) for path in paths)
    return f"chmod -R o+rX {shlex.join(directories)}"


def _known(objects: tuple[MappedObject, ...] | Unknown) -> tuple[MappedObject, ...]:
    return () if isinstance(objects, Unknown) else objects


def _summarize(paths: Sequence[str]) -> str:
    """Return the first path and the number of the others."""
    if len(paths) == 1:
        return paths[0]
    return f"{paths[0]} and {pluralize(len(paths) - 1, 'other', 'others')}"
