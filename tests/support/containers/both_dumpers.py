"""Gives a core to ast_coredumper and to astbtd, in a container with a built Asterisk."""

from tests.support.containers.asterisk_builds import SOURCE
from tests.support.containers.built_asterisk import BuiltAsterisk
from tests.support.containers.service import CONFIGURATION
from tests.support.coredumper import ECHO, FILES

_SCRIPT = f"{SOURCE}/contrib/scripts/ast_coredumper"
_THEIRS, _OURS = "/var/tmp/core-theirs", "/var/tmp/ours"
_SECONDS = 400


def run_coredumper(pbx: BuiltAsterisk, core: str) -> dict[str, str]:
    """Return the files that ast_coredumper writes of a core, by name."""
    # It rejects a configuration that is not root's, and here all of Asterisk's is the user asterisk's.
    pbx.container.run("rm", "--force", "/etc/asterisk/ast_debug_tools.conf")
    pbx.container.run("ln", "--force", core, _THEIRS)
    pbx.container.run("bash", _SCRIPT, "--no-rename", "--outputdir=/var/tmp", _THEIRS, timeout=_SECONDS)
    return {name: pbx.container.run("cat", f"{_THEIRS}-{name}.txt").stdout for name in FILES}


def run_astbtd(pbx: BuiltAsterisk, core: str, symbols: str = "lazy") -> dict[str, str]:
    """Return the files of the same names that astbtd writes, as `echo -e` prints them.

    `symbols` is the setting `extract.symbols`.
    """
    pbx.container.write(CONFIGURATION, f"extract: {{symbols: {symbols}}}\n")
    pbx.container.run("rm", "--recursive", "--force", _OURS)
    pbx.container.run("astbtd", "extract", "--output", _OURS, core, timeout=_SECONDS)
    pbx.container.write(CONFIGURATION, "")
    return {name: pbx.container.run("bash", "-c", ECHO, "bash", f"{_OURS}/{name}.txt").stdout for name in FILES}
