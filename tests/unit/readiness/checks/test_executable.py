"""The executable and modules of Asterisk: readable, with symbols, build options, unchanged on disk."""

from dataclasses import replace

import pytest

from astbtd.model.crash import Asterisk
from astbtd.readiness.checks.executable import check_build_options, check_readable, check_symbols, check_up_to_date
from astbtd.readiness.facts import STOPPED, Console, Family, Instance
from astbtd.readiness.program_facts import FileChange, MappedObject, ObjectRole, Program, SourceTree
from astbtd.readiness.result import Check, State, Unknown, make_readiness
from tests.support.readiness_facts import BUILT, EXECUTABLE, INSTANCE, MODULE, instance, remedy, result

STOCK = Asterisk("22.10.0", ("OPTIONAL_API",), dont_optimize=False, debug_threads=False, better_backtraces=False)
STRIPPED = Program(EXECUTABLE, symbols=False, readable=True, built=STOCK, packages=("asterisk", "asterisk-modules"))
LIBRARY = "/usr/lib/libssl.so.3"


def with_object(
    path: str, role: ObjectRole = ObjectRole.ASTERISK, change: FileChange | None = None, **is_: bool
) -> Instance:
    one = MappedObject(path, role, change, is_.get("symbols", True), is_.get("readable", True))
    return instance(objects=(one,))


def by_name(checks: "list[Check]") -> dict[str, Check]:
    return {check.name.value: check for check in checks}


def test_a_file_that_gdb_cannot_read() -> None:
    check = check_readable(with_object("/opt/a b/app_x.so", readable=False))

    assert result(check)[0] is State.WARNING
    assert "cannot read /opt/a b/app_x.so: copied for each crash" in check.found
    assert remedy(check) == "chmod o+r '/opt/a b/app_x.so'"


def test_the_remedy_for_many_unreadable_files_is_for_their_directory() -> None:
    names = [f"/opt/modules/app_{number}.so" for number in range(4)]
    closed = tuple(MappedObject(name, ObjectRole.ASTERISK, None, symbols=True, readable=False) for name in names)

    assert remedy(check_readable(instance(objects=closed))) == "chmod -R o+rX /opt/modules"


def test_only_the_executable_of_a_stopped_asterisk_is_checked() -> None:
    closed = replace(STRIPPED, readable=False)

    assert check_readable(instance(process=STOPPED, objects=STOPPED)).state is State.OK
    assert check_readable(instance(process=STOPPED, objects=STOPPED, program=closed)).state is State.WARNING


def test_facts_that_only_root_can_read_are_unknown() -> None:
    assert check_readable(instance(objects=Unknown("root only"))).state is State.UNKNOWN
    assert check_up_to_date(instance(objects=Unknown("root only"))).state is State.UNKNOWN


def test_existing_symbols() -> None:
    assert result(check_symbols(INSTANCE, Family.DEBIAN)) == (State.OK, f"found in {EXECUTABLE} and 1 module")


@pytest.mark.parametrize(
    ("family", "packages", "command"),
    [
        (
            Family.DEBIAN,
            ("asterisk", "asterisk-modules"),
            "apt install asterisk-dbgsym asterisk-modules-dbgsym",
        ),
        (Family.RHEL, ("asterisk", "asterisk-sip"), "dnf debuginfo-install asterisk asterisk-sip"),
        (Family.DEBIAN, (), "install Asterisk unstripped: in its source, make && make install"),
        (Family.OTHER, (), "install Asterisk unstripped: in its source, make && make install"),
    ],
)
def test_missing_symbols(family: Family, packages: tuple[str, ...], command: str) -> None:
    check = check_symbols(instance(program=replace(STRIPPED, packages=packages)), family)

    assert (check.state, remedy(check)) == (State.WARNING, command)
    assert check.found == f"a backtrace is partial at best: {EXECUTABLE} stripped, no separate symbols are installed"


def test_the_remedy_is_what_this_machine_can_install() -> None:
    advice = ("Install the debug symbols: `apt install asterisk-dbgsym=1`.",)
    program = replace(STRIPPED, symbols_advice=advice)

    assert remedy(check_symbols(instance(program=program), Family.DEBIAN)) == advice[0]


def test_a_program_whose_functions_have_no_names_at_all_fails() -> None:
    program = replace(STRIPPED, exports_functions=False)

    check = check_symbols(instance(program=program), Family.DEBIAN)

    assert result(check) == (
        State.FAILED,
        f"{EXECUTABLE} is stripped and exports no function: no frame of Asterisk would have a name",
    )
    assert make_readiness([check]).usable is False


def test_a_module_without_symbols() -> None:
    assert MODULE in check_symbols(with_object(MODULE, symbols=False), Family.DEBIAN).found
    assert check_symbols(with_object(LIBRARY, ObjectRole.LIBRARY, symbols=False), Family.DEBIAN).state is State.OK


def test_a_build_for_debugging() -> None:
    checks = list(check_build_options(INSTANCE, Family.DEBIAN))

    assert [result(check) for check in checks] == [
        (State.OK, "built with DONT_OPTIMIZE"),
        (State.OK, "built with BETTER_BACKTRACES"),
        (State.OK, "built with DEBUG_THREADS"),
    ]


@pytest.mark.parametrize(
    ("family", "libbfd"),
    [(Family.DEBIAN, "apt install binutils-dev libiberty-dev"), (Family.RHEL, "dnf install binutils-devel")],
)
def test_a_build_without_debugging_options(family: Family, libbfd: str) -> None:
    checks = by_name(list(check_build_options(instance(console=Console(True, STOCK)), family)))

    assert {check.state for check in checks.values()} == {State.WARNING}
    assert remedy(checks["dont-optimize"]) == (
        "in Asterisk's source: make menuselect.makeopts && "
        "menuselect/menuselect --enable DONT_OPTIMIZE menuselect.makeopts && "
        "make && make install && systemctl restart asterisk.service"
    )
    assert remedy(checks["better-backtraces"]).startswith(
        f"in Asterisk's source: {libbfd} && ./configure --libdir=/usr/lib && make "
    )
    assert remedy(checks["better-backtraces"]).endswith("the line `$ ./configure` in its config.log)")
    assert "--enable DEBUG_THREADS" in remedy(checks["debug-threads"])


def test_a_build_is_repeated_with_its_former_options_where_its_sources_are() -> None:
    source = SourceTree("/usr/src/my pbx", ("--with-jansson", "--libdir=/opt/lib", "CFLAGS=-O2 -g"))
    one = instance(console=Console(True, STOCK), program=replace(STRIPPED, source=source))

    checks = by_name(list(check_build_options(one, Family.DEBIAN)))

    assert remedy(checks["better-backtraces"]).startswith(
        "cd '/usr/src/my pbx' && apt install binutils-dev libiberty-dev && "
        "./configure --with-jansson --libdir=/opt/lib 'CFLAGS=-O2 -g' && make menuselect.makeopts && "
    )
    assert remedy(checks["dont-optimize"]).startswith("cd '/usr/src/my pbx' && make menuselect.makeopts && ")


def test_without_a_config_log_only_the_directory_of_the_libraries_is_known() -> None:
    module = MappedObject("/usr/lib64/asterisk/modules/app_dial.so", ObjectRole.ASTERISK, None, True, True)
    program = replace(STRIPPED, source=SourceTree("/usr/src/asterisk", None))
    one = instance(console=Console(True, STOCK), program=program, objects=(module,))

    checks = by_name(list(check_build_options(one, Family.RHEL)))

    assert "&& ./configure --libdir=/usr/lib64 && make " in remedy(checks["better-backtraces"])


def test_the_console_takes_precedence_over_the_executable() -> None:
    one = instance(console=Console(True, BUILT), program=STRIPPED)

    assert {check.state for check in check_build_options(one, Family.DEBIAN)} == {State.OK}


def test_the_executable_is_used_if_the_console_does_not_answer() -> None:
    one = instance(console=Unknown("no answer"), program=STRIPPED)

    assert {check.state for check in check_build_options(one, Family.DEBIAN)} == {State.WARNING}


def test_unknown_build_options() -> None:
    blank = instance(console=Unknown("no answer"), program=replace(STRIPPED, built=Asterisk()))
    gone = instance(console=Unknown("no answer"), program=Unknown("no executable"))

    for one in (blank, gone):
        assert {check.state for check in check_build_options(one, Family.DEBIAN)} == {State.UNKNOWN}


@pytest.mark.parametrize(
    ("role", "change", "state"),
    [
        (ObjectRole.ASTERISK, None, State.OK),
        (ObjectRole.ASTERISK, FileChange.REPLACED, State.FAILED),
        (ObjectRole.ASTERISK, FileChange.REMOVED, State.FAILED),
        (ObjectRole.ASTERISK, FileChange.OVERWRITTEN, State.WARNING),
        (ObjectRole.LIBC, FileChange.REPLACED, State.FAILED),
        (ObjectRole.LIBRARY, FileChange.REPLACED, State.WARNING),
        (ObjectRole.LIBRARY, FileChange.REMOVED, State.WARNING),
    ],
)
def test_files_that_changed_on_disk(role: ObjectRole, change: FileChange | None, state: State) -> None:
    check = check_up_to_date(with_object(MODULE, role, change))

    assert check.state is state
    if change:
        assert MODULE in check.found
        assert remedy(check) == "systemctl restart asterisk.service"
