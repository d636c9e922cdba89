"""The cores for the benchmarks: of a generated program, or of the real one that `BENCH_CORE` and `BENCH_EXE` name."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from astbtd.elf import headers
from astbtd.elf.core_memory import CoreMemory
from tests.support.harness import crash

_SOURCES = Path(__file__).parent.parent / "programs"
_NT_AUXV, _AT_RANDOM = 6, 25
_MODULE_THREADS = 8  # threads that the modules of the generated program run
OBJECTS, THREADS = 400, 75


@dataclass(frozen=True)
class Subject:
    """A core, its program, and a name for them."""

    name: str
    core: Path
    program: Path


def subjects(build: Path, scratch: Path) -> list[Subject]:
    """Return the cores to measure."""
    if "BENCH_CORE" in os.environ:
        return [Subject("given core", Path(os.environ["BENCH_CORE"]), Path(os.environ["BENCH_EXE"]))]
    debug = _built(build / "debug", f"OBJECTS={OBJECTS}", "OPTIMIZE=1")
    return [
        _crashed("with symbols", debug, scratch),
        _crashed("stripped", _stripped(debug, build / "stripped"), scratch),
    ]


def small_programs(build: Path) -> Path:
    """Build the program of the tests, with its few modules."""
    return _built(build / "small")


def pbx_programs(build: Path) -> Path:
    """Build the programs that have the state of a PBX."""
    return _built(build / "pbx", "pbx")


def another(core: Path, target: Path, number: int) -> Path:
    """Copy a core with its holes and other random bytes, as if of another process. `number` makes the copy unique."""
    subprocess.run(["cp", "--sparse=always", "--preserve=timestamps", core, target], check=True)
    with target.open("r+b") as file:
        read = headers.file_reader(file.fileno())
        header = headers.read_header(read)
        auxv = next(note.content for note in headers.read_notes(header, read) if note.type == _NT_AUXV)
        words = [int.from_bytes(auxv[at : at + 8], "little") for at in range(0, len(auxv), 8)]
        address = dict(zip(words[::2], words[1::2], strict=True))[_AT_RANDOM]
        memory = CoreMemory(header, lambda position, _: position.to_bytes(8, "little"))
        position = int.from_bytes(memory.read(address, 16), "little")
        file.seek(position)
        file.write(number.to_bytes(16, "little"))
    target.chmod(0o600)
    return target


def _built(directory: Path, *options: str) -> Path:
    subprocess.run(["make", "-s", "-j2", "-C", _SOURCES, f"BUILD={directory}", *options], check=True)
    return directory


def _stripped(source: Path, target: Path) -> Path:
    """Return the program with dynamic symbols only, as in packages."""
    shutil.rmtree(target, ignore_errors=True)
    for path in [*source.glob("modules/*.so"), source / "asterisk"]:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["strip", "--strip-all", "-o", copy, path], check=True)
    return target


def _crashed(name: str, program: Path, scratch: Path) -> Subject:
    directory = scratch / name.replace(" ", "-")
    directory.mkdir()
    idle = THREADS - _MODULE_THREADS - 2  # without the main and the crashing thread
    core = crash(program, directory, "segv", "--threads", str(idle), "--megabytes", "40")
    return Subject(name, core, program / "asterisk")
