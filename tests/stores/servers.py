"""The servers of stores that tests can start here, with their versions.

for store in SERVERS:
    if not store.missing(directory):
        with store.start(directory) as s3: ...
"""

import json
import re
import subprocess
import sysconfig
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from tests import azurite, emulators, gcs, radosgw, swift
from tests.s3servers import moto, rclone


@dataclass(frozen=True, slots=True)
class Store:
    """A server. `missing` says why it can't be had, "" if it can; `start` takes an empty folder."""

    name: str
    what: str
    version: Callable[[], str]
    missing: Callable[[Path], str]
    start: Callable[[Path], AbstractContextManager[Any]]


def _rclone_version() -> str:
    program = str(Path(sysconfig.get_path("scripts")) / "rclone")
    said = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"v([\d.]+)", said)
    return found[1] if found else "?"


def _s3rver_version() -> str:
    package = emulators.S3RVER.parent.parent / "package.json"
    return str(json.loads(package.read_text())["version"])


def _localstack_version() -> str:
    words = "from importlib.metadata import version; print(version('localstack-core'))"
    command = [str(emulators.LOCALSTACK), "-c", words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _unless(*, works: bool, otherwise: str) -> str:
    return "" if works else otherwise


SERVERS = (
    Store(
        "radosgw",
        "Ceph's gateway: monitor, OSD in memory",
        radosgw.version,
        lambda _: _unless(works=radosgw.radosgw_works(), otherwise="make stores unpacks it"),
        radosgw.radosgw,
    ),
    Store(
        "swift",
        "OpenStack Swift with s3api, one device",
        lambda: version("swift"),
        lambda home: _unless(works=swift.swift_works(home), otherwise="no attributes of files"),
        swift.swift,
    ),
    Store("rclone", "rclone serve s3 on a directory", _rclone_version, lambda _: "", rclone),
    Store(
        "s3rver",
        "an emulator (npm)",
        _s3rver_version,
        lambda _: _unless(works=emulators.s3rver_works(), otherwise="make stores installs it"),
        emulators.s3rver,
    ),
    Store("moto", "an emulator (pip)", lambda: version("moto"), lambda _: "", lambda _: moto()),
    Store(
        "localstack",
        "an emulator (pip)",
        _localstack_version,
        lambda _: _unless(works=emulators.localstack_works(), otherwise="make stores installs it"),
        emulators.localstack,
    ),
)
CLOUDS = (
    Store(
        "azurite",
        "Microsoft's emulator (npm)",
        lambda: json.loads((azurite.PROGRAM.parents[3] / "package.json").read_text())["version"],
        lambda _: _unless(works=azurite.azurite_works(), otherwise="make stores installs it"),
        lambda _: azurite.azurite(),
    ),
    Store(
        "gcs.py",
        "a server of ours: Google's XML interface",
        lambda: "(ours)",
        lambda _: "",
        lambda _: gcs.gcs(),
    ),
)
BY_NAME = {store.name: store for store in (*SERVERS, *CLOUDS)}
