"""Opens an address in the browser of the person who runs the command, never as root."""

import os
import pwd
from collections.abc import Mapping
from dataclasses import dataclass

from astbtd.errors import AstbtdError
from astbtd.lib import subprocesses

_DESKTOP = (  # what programs need to find the session of a desktop
    "BROWSER",
    "DBUS_SESSION_BUS_ADDRESS",
    "DESKTOP_SESSION",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "XDG_CURRENT_DESKTOP",
    "XDG_RUNTIME_DIR",
    "XDG_SESSION_TYPE",
)
_OWN = ("HOME", "LANG", "PATH")
_INVOKER = ("SUDO_UID", "PKEXEC_UID")
_WAIT = 10.0  # seconds; xdg-open either ends soon, or is the browser
_COPY = "copy the address into a browser"


@dataclass(frozen=True)
class OpeningCommand:
    """The command that opens an address, and its environment."""

    argv: tuple[str, ...]
    environment: dict[str, str]


def open_address(address: str) -> None:
    """Open an address with xdg-open. Raise AstbtdError if that fails, or if only root is there to do it."""
    command = opening_command(address, os.geteuid(), os.environ)
    status = subprocesses.launch(command.argv, environment=command.environment, wait=_WAIT)
    if status:
        raise AstbtdError(f"xdg-open failed with status {status}", f"install xdg-utils and a browser, or {_COPY}")


def opening_command(address: str, uid: int, environ: Mapping[str, str]) -> OpeningCommand:
    """Return how to open an address. Root opens it as the user who called sudo or pkexec. Raise AstbtdError."""
    desktop = {name: environ[name] for name in _DESKTOP if name in environ}
    if uid != 0:
        own = {name: environ[name] for name in _OWN if name in environ}
        return OpeningCommand(("xdg-open", address), {**desktop, **own})
    user = _invoking_user(environ)
    runtime = f"/run/user/{user.pw_uid}"
    session = {
        "HOME": user.pw_dir,
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        "XDG_RUNTIME_DIR": runtime,
        "DBUS_SESSION_BUS_ADDRESS": f"unix:path={runtime}/bus",
    }
    as_user = ("setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--init-groups", "--inh-caps=-all")
    return OpeningCommand((*as_user, "xdg-open", address), {**desktop, **session})


def _invoking_user(environ: Mapping[str, str]) -> pwd.struct_passwd:
    """Return the user who called sudo or pkexec. Raise AstbtdError if there is none, or if that is root."""
    for name in _INVOKER:
        number = environ.get(name, "")
        if number.isdecimal() and int(number) != 0:
            try:
                return pwd.getpwuid(int(number))
            except (KeyError, OverflowError):
                continue
    raise AstbtdError("root does not open a browser", f"run the command as your own user, or {_COPY}")
