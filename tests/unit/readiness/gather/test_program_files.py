"""The packages that own files, from the output of dpkg-query and rpm."""

import pytest

from astbtd.readiness.facts import Family
from astbtd.readiness.gather.program_files import parse_owners

DPKG = """\
dpkg-query: no path found matching pattern /opt/asterisk/modules/app_x.so
asterisk: /usr/sbin/asterisk
asterisk-modules:amd64: /usr/lib/x86_64-linux-gnu/asterisk/modules/app_dial.so
diversion by dash from: /bin/sh
"""
RPM = """\
asterisk
file /opt/asterisk/modules/app_x.so is not owned by any package
asterisk-sip
"""


@pytest.mark.parametrize(
    ("family", "text", "packages"),
    [
        (Family.DEBIAN, DPKG, ["asterisk", "asterisk-modules"]),
        (Family.RHEL, RPM, ["asterisk", "asterisk-sip"]),
        (Family.DEBIAN, "", []),
    ],
)
def test_package_names_are_parsed(family: Family, text: str, packages: list[str]) -> None:
    assert list(parse_owners(text, family)) == packages
