"""What `ssh` would know of a server: its config and its files of known hosts.

Owns: which of the keywords count. Does not know: connections.
https://man.openbsd.org/ssh_config
"""

import base64
import hashlib
import os
import shlex
from typing import NamedTuple

import paramiko

from scraper.sinks.remote_files.address import Address
from scraper.sinks.remote_files.faults import Fault, Trouble

_CONFIG = "~/.ssh/config"
_KNOWN = ("/etc/ssh/ssh_known_hosts", "~/.ssh/known_hosts")


class Route(NamedTuple):
    """How a server is reached. `keys` are files; "" is no proxy."""

    host: str
    port: int
    user: str | None
    keys: list[str]
    known_hosts: list[str]
    proxy_command: str

    @property
    def scan(self) -> str:
        """The command that makes the server known."""
        port = f"-p {self.port} " if self.port != 22 else ""
        return f"ssh-keyscan {port}{shlex.quote(self.host)} >> ~/.ssh/known_hosts"


def route_to(address: Address) -> Route:
    """What the URL says goes before what the config says. Raises Fault for a broken config."""
    said = _config(address.host)
    host = str(said.get("hostname", address.host))
    try:
        port = address.port or int(said.get("port", 22))
    except ValueError:
        raise Fault(Trouble.SIGN_IN, f"Port in {_CONFIG} is no number") from None
    proxy = str(said.get("proxycommand", ""))
    jump = str(said.get("proxyjump", ""))
    if not proxy and jump not in {"", "none"}:
        proxy = f"ssh -W {shlex.quote(f'{host}:{port}')} {shlex.quote(jump)}"
    return Route(
        host,
        port,
        address.user or said.get("user"),
        [os.path.expanduser(path) for path in said.get("identityfile", [])],
        [os.path.expanduser(path) for path in (*_KNOWN, *_paths(said.get("userknownhostsfile")))],
        "" if proxy == "none" else proxy,
    )


def fingerprint(key: paramiko.PKey) -> str:
    """As `ssh-keygen -l` shows it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode()
    return f"SHA256:{digest.rstrip('=')}"


def _paths(text: object) -> list[str]:
    return shlex.split(text) if isinstance(text, str) else []


def _config(host: str) -> "paramiko.SSHConfigDict":
    try:
        return paramiko.SSHConfig.from_path(os.path.expanduser(_CONFIG)).lookup(host)
    except OSError:  # there is none
        return paramiko.SSHConfigDict()
    except Exception as error:  # noqa: BLE001 - any of a parser, which tells the line
        raise Fault(Trouble.SIGN_IN, f"{_CONFIG}: {error}") from None
