"""Checks Asterisk's executable and modules: readable, with symbols, built for debugging, those that run."""

import posixpath
import shlex
from collections.abc import Iterator, Sequence

from astbtd.lib.quantities import counted
from astbtd.model.crash import Asterisk
from astbtd.readiness.facts import Change, Family, Instance, MappedObject, Role
from astbtd.readiness.remedies import install, restart
from astbtd.readiness.result import Check, Name, Unknown, failed, ok, unknown, warning

_FEW = 3
_NEEDS_LIBBFD = "BETTER_BACKTRACES"


def readable(instance: Instance) -> Check:
    """Whether gdb's user can read the executable and the modules."""
    program, objects = instance.program, instance.objects
    if isinstance(program, Unknown):
        return unknown(Name.READABLE, program)
    closed = [] if program.readable else [program.path]
    closed += [each.path for each in _known(objects) if not each.readable and each.path not in closed]
    if closed:
        found = f"gdb's user cannot read {_some(closed)}: copied for each crash, which takes time and room"
        return warning(Name.READABLE, found, _open_up(closed))
    if isinstance(objects, Unknown) and not isinstance(instance.process, Unknown):
        return unknown(Name.READABLE, objects)
    return ok(Name.READABLE, "gdb's user can read the executable and what it has loaded")


def symbols(instance: Instance, family: Family) -> Check:
    """Whether the executable and Asterisk's modules have their symbols, in themselves or in files beside."""
    program = instance.program
    if isinstance(program, Unknown):
        return unknown(Name.SYMBOLS, program)
    modules = [each for each in _known(instance.objects) if each.role is Role.ASTERISK and each.path != program.path]
    bare = [each.path for each in modules if not each.symbols]
    if not program.symbols:
        bare.insert(0, program.path)
    if not bare:
        return ok(Name.SYMBOLS, f"{program.path} has them" + _as_have(len(modules)))
    found = f"stripped, and no separate symbols are installed: {_some(bare)}; many frames have no names"
    return warning(Name.SYMBOLS, found, _symbols_from(program.packages, family))


def build_options(instance: Instance, family: Family) -> Iterator[Check]:
    """DONT_OPTIMIZE, BETTER_BACKTRACES and DEBUG_THREADS, as Asterisk says itself or else its executable does."""
    built = _built(instance)
    wanted = (
        (Name.DONT_OPTIMIZE, "dont_optimize", "arguments and locals are <optimized out>"),
        (Name.BETTER_BACKTRACES, "better_backtraces", "the backtraces in Asterisk's own log have no lines"),
        (Name.DEBUG_THREADS, "debug_threads", "a deadlock's locks are not listed (it costs speed: for deadlocks only)"),
    )
    for name, option, consequence in wanted:
        has = built if isinstance(built, Unknown) else getattr(built, option)
        yield _option(name, has, consequence, _rebuild(option.upper(), instance, family))


def up_to_date(instance: Instance) -> Check:
    """Whether the executable and the modules on disk are still those that run."""
    objects = instance.objects
    if isinstance(objects, Unknown):
        return unknown(Name.UP_TO_DATE, objects)
    changed = [each for each in objects if each.change]
    gone = [each.path for each in changed if each.role is not Role.LIBRARY and each.change is not Change.OVERWRITTEN]
    if gone:
        found = f"replaced on disk since Asterisk started: {_some(gone)}; a backtrace would be wrong"
        return failed(Name.UP_TO_DATE, found, restart(instance))
    if changed:
        found = f"changed on disk since Asterisk started: {_some([each.path for each in changed])}"
        return warning(Name.UP_TO_DATE, f"{found}; frames in there would be wrong", restart(instance))
    return ok(Name.UP_TO_DATE, "what runs is what is on disk")


def _built(instance: Instance) -> Asterisk | Unknown:
    if not isinstance(instance.console, Unknown):
        return instance.console.built
    return instance.program if isinstance(instance.program, Unknown) else instance.program.built


def _option(name: Name, has: bool | Unknown | None, consequence: str, remedy: str) -> Check:
    if isinstance(has, Unknown):
        return unknown(name, has)
    if has is None:
        return unknown(name, Unknown("neither the executable nor the console tells how Asterisk was built"))
    option = name.upper().replace("-", "_")
    return ok(name, f"built with {option}") if has else warning(name, f"built without {option}: {consequence}", remedy)


def _rebuild(option: str, instance: Instance, family: Family) -> str:
    """The steps in Asterisk's source tree; BETTER_BACKTRACES needs libbfd, which configure has to find first."""
    needs = f"{install(family, 'binutils-dev', 'binutils-devel')} && ./configure && " if option == _NEEDS_LIBBFD else ""
    enable = f"make menuselect.makeopts && menuselect/menuselect --enable {option} menuselect.makeopts"
    return f"in Asterisk's source: {needs}{enable} && make && make install && {restart(instance)}"


def _symbols_from(packages: Sequence[str], family: Family) -> str:
    if family is Family.DEBIAN and packages:
        return f"apt install {' '.join(f'{name}-dbgsym' for name in packages)} (in the archive debian-debug)"
    if family is Family.RHEL and packages:
        return f"dnf debuginfo-install {' '.join(packages)}"
    return "install Asterisk unstripped: in its source, make && make install"


def _as_have(modules: int) -> str:
    return f", as {'has' if modules == 1 else 'have'} {counted(modules, 'module', 'modules')}" if modules else ""


def _open_up(closed: Sequence[str]) -> str:
    """For a few files their names, for many their directories."""
    if len(closed) <= _FEW:
        return f"chmod o+r {shlex.join(closed)}"
    return f"chmod -R o+rX {shlex.join(dict.fromkeys(map(posixpath.dirname, closed)))}"


def _known(objects: tuple[MappedObject, ...] | Unknown) -> tuple[MappedObject, ...]:
    return () if isinstance(objects, Unknown) else objects


def _some(paths: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = f" and {counted(len(paths) - 1, 'other', 'others')}" if len(paths) > 1 else ""
    return f"{paths[0]}{more}"
