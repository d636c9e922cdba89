"""Asterisk's executable and modules: readable, with symbols, built for debugging, and those that run."""

from dataclasses import replace

import pytest

from astbtd.model.crash import Asterisk
from astbtd.readiness.checks.executable import build_options, readable, symbols, up_to_date
from astbtd.readiness.checks.gdb_version import gdb
from astbtd.readiness.facts import STOPPED, Change, Console, Family, Gdb, Instance, MappedObject, Program, Role
from astbtd.readiness.result import Check, State, Unknown
from tests.support.readiness_facts import BUILT, EXECUTABLE, INSTANCE, MODULE, instance, remedy, told

STOCK = Asterisk("22.10.0", ("OPTIONAL_API",), dont_optimize=False, debug_threads=False, better_backtraces=False)
STRIPPED = Program(EXECUTABLE, symbols=False, readable=True, built=STOCK, packages=("asterisk", "asterisk-modules"))
LIBRARY = "/usr/lib/libssl.so.3"


def with_object(path: str, role: Role = Role.ASTERISK, change: Change | None = None, **is_: bool) -> Instance:
    one = MappedObject(path, role, change, is_.get("symbols", True), is_.get("readable", True))
    return instance(objects=(one,))


def by_name(checks: "list[Check]") -> dict[str, Check]:
    return {check.name.value: check for check in checks}


def test_what_gdb_cannot_read_is_copied_each_time() -> None:
    check = readable(with_object("/opt/a b/app_x.so", readable=False))

    assert told(check)[0] is State.WARNING
    assert "cannot read /opt/a b/app_x.so: copied for each crash" in check.found
    assert remedy(check) == "chmod o+r '/opt/a b/app_x.so'"


def test_many_that_gdb_cannot_read_are_opened_up_by_directory() -> None:
    names = [f"/opt/modules/app_{number}.so" for number in range(4)]
    closed = tuple(MappedObject(name, Role.ASTERISK, None, symbols=True, readable=False) for name in names)

    assert remedy(readable(instance(objects=closed))) == "chmod -R o+rX /opt/modules"


def test_the_executable_is_judged_alone_where_nothing_runs() -> None:
    closed = replace(STRIPPED, readable=False)

    assert readable(instance(process=STOPPED, objects=STOPPED)).state is State.OK
    assert readable(instance(process=STOPPED, objects=STOPPED, program=closed)).state is State.WARNING


def test_what_only_root_may_see_is_unknown() -> None:
    assert readable(instance(objects=Unknown("root only"))).state is State.UNKNOWN
    assert up_to_date(instance(objects=Unknown("root only"))).state is State.UNKNOWN


def test_symbols_that_are_there() -> None:
    assert told(symbols(INSTANCE, Family.DEBIAN)) == (State.OK, f"{EXECUTABLE} has them, as has 1 module")


@pytest.mark.parametrize(
    ("family", "packages", "helps"),
    [
        (
            Family.DEBIAN,
            ("asterisk", "asterisk-modules"),
            "apt install asterisk-dbgsym asterisk-modules-dbgsym (in the archive debian-debug)",
        ),
        (Family.RHEL, ("asterisk", "asterisk-sip"), "dnf debuginfo-install asterisk asterisk-sip"),
        (Family.DEBIAN, (), "install Asterisk unstripped: in its source, make && make install"),
        (Family.OTHER, (), "install Asterisk unstripped: in its source, make && make install"),
    ],
)
def test_symbols_that_are_missing(family: Family, packages: tuple[str, ...], helps: str) -> None:
    check = symbols(instance(program=replace(STRIPPED, packages=packages)), family)

    assert (check.state, remedy(check)) == (State.WARNING, helps)
    assert f"stripped, and no separate symbols are installed: {EXECUTABLE};" in check.found


def test_a_module_without_symbols() -> None:
    assert MODULE in symbols(with_object(MODULE, symbols=False), Family.DEBIAN).found
    assert symbols(with_object(LIBRARY, Role.LIBRARY, symbols=False), Family.DEBIAN).state is State.OK


def test_a_build_for_debugging() -> None:
    checks = list(build_options(INSTANCE, Family.DEBIAN))

    assert [told(check) for check in checks] == [
        (State.OK, "built with DONT_OPTIMIZE"),
        (State.OK, "built with BETTER_BACKTRACES"),
        (State.OK, "built with DEBUG_THREADS"),
    ]


@pytest.mark.parametrize(
    ("family", "libbfd"), [(Family.DEBIAN, "apt install binutils-dev"), (Family.RHEL, "dnf install binutils-devel")]
)
def test_a_build_for_everyday_use(family: Family, libbfd: str) -> None:
    checks = by_name(list(build_options(instance(console=Console(True, STOCK)), family)))

    assert {check.state for check in checks.values()} == {State.WARNING}
    assert remedy(checks["dont-optimize"]) == (
        "in Asterisk's source: make menuselect.makeopts && "
        "menuselect/menuselect --enable DONT_OPTIMIZE menuselect.makeopts && "
        "make && make install && systemctl restart asterisk.service"
    )
    assert remedy(checks["better-backtraces"]).startswith(f"in Asterisk's source: {libbfd} && ./configure && make ")
    assert "--enable DEBUG_THREADS" in remedy(checks["debug-threads"])


def test_asterisk_itself_knows_better_than_the_file_that_is_there_now() -> None:
    one = instance(console=Console(True, BUILT), program=STRIPPED)

    assert {check.state for check in build_options(one, Family.DEBIAN)} == {State.OK}


def test_the_file_answers_for_a_silent_asterisk() -> None:
    one = instance(console=Unknown("no answer"), program=STRIPPED)

    assert {check.state for check in build_options(one, Family.DEBIAN)} == {State.WARNING}


def test_a_build_that_nobody_tells_of() -> None:
    blank = instance(console=Unknown("no answer"), program=replace(STRIPPED, built=Asterisk()))
    gone = instance(console=Unknown("no answer"), program=Unknown("no executable"))

    for one in (blank, gone):
        assert {check.state for check in build_options(one, Family.DEBIAN)} == {State.UNKNOWN}


@pytest.mark.parametrize(
    ("role", "change", "state"),
    [
        (Role.ASTERISK, None, State.OK),
        (Role.ASTERISK, Change.REPLACED, State.FAILED),
        (Role.ASTERISK, Change.REMOVED, State.FAILED),
        (Role.ASTERISK, Change.OVERWRITTEN, State.WARNING),
        (Role.LIBC, Change.REPLACED, State.FAILED),
        (Role.LIBRARY, Change.REPLACED, State.WARNING),
        (Role.LIBRARY, Change.REMOVED, State.WARNING),
    ],
)
def test_what_changed_on_disk(role: Role, change: Change | None, state: State) -> None:
    check = up_to_date(with_object(MODULE, role, change))

    assert check.state is state
    if change:
        assert MODULE in check.found
        assert remedy(check) == "systemctl restart asterisk.service"


@pytest.mark.parametrize(("family", "command"), [(Family.DEBIAN, "apt install gdb"), (Family.RHEL, "dnf install gdb")])
def test_no_gdb(family: Family, command: str) -> None:
    check = gdb(Gdb("gdb", None, python=False, problem="gdb is not installed"), family)

    assert told(check) == (State.FAILED, "gdb is not installed")
    assert remedy(check) == command


def test_a_gdb_without_python() -> None:
    check = gdb(Gdb("gdb", "16.3", python=False, problem=None), Family.DEBIAN)

    assert told(check) == (State.WARNING, "gdb 16.3 has no Python: only backtrace.txt is written")


@pytest.mark.parametrize(("version", "state"), [("12.1", State.WARNING), ("8.2", State.WARNING), ("13.1", State.OK)])
def test_a_gdb_that_is_older_than_any_that_is_tried(version: str, state: State) -> None:
    check = gdb(Gdb("gdb", version, python=True, problem=None), Family.RHEL)

    assert check.state is state
    if state is State.WARNING:
        assert check.found == f"gdb {version} is older than 13, the oldest that astbtd is tried with"
        assert "gdb.program" in remedy(check)


def test_a_problem_that_has_its_own_remedy() -> None:
    check = gdb(Gdb("gdb", None, python=False, problem="its user is missing", remedy="create it"), Family.DEBIAN)

    assert remedy(check) == "create it"
