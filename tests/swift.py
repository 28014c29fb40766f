"""OpenStack Swift with its S3 API, on loopback: the S3 server that checks what it is sent.

    with swift(directory) as s3:             # an S3Server; needs `pip install swift`, and Linux
        bucket = s3.make_bucket()
        with s3.without_objects():           # real 503s: its object server is stopped
            ...

It refuses wrong secrets, unknown keys and digests that don't fit, which moto takes. It
is four processes: a proxy that speaks S3, and servers of accounts, containers and
objects, each found by the proxy in a ring. It keeps facts in extended attributes, so
`directory` must be on a file system that has them (not every tmpfs).
"""

import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from getpass import getuser
from importlib.util import find_spec
from pathlib import Path

from tests.s3servers import S3Server
from tests.servers import WAIT_S, free_port

KEY, SECRET = "test:tester", "test-secret"
_KINDS = ("account", "container", "object")
_RINGS = """
import sys
from swift.common.ring import RingBuilder
for word in sys.argv[1:]:
    kind, port = word.split(":")
    builder = RingBuilder(4, 1, 0)
    builder.add_dev(dict(region=1, zone=1, ip="127.0.0.1", port=int(port), device="disk", weight=1))
    builder.rebalance()
    builder.get_ring().save(kind + ".ring.gz")
"""
_SWIFT = """
[swift-hash]
swift_hash_path_prefix = a
swift_hash_path_suffix = b
[storage-policy:0]
name = one
default = yes
"""
_DEFAULT = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {home}
devices = {home}
mount_check = false
user = {user}
log_address = /dev/null
"""
_STORAGE = """
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
_FILTERS = (
    *("catch_errors", "gatekeeper", "cache", "bulk", "s3api", "tempauth", "slo", "dlo"),
    *("symlink", "versioned_writes"),
)
_PROXY = f"""
[pipeline:main]
pipeline = {" ".join(_FILTERS)} proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
node_timeout = 1
error_suppression_limit = 1000000
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
[filter:tempauth]
use = egg:swift#tempauth
user_{KEY.replace(":", "_")} = {SECRET} .admin
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_object_versioning = true
""" + "".join(
    f"[filter:{name}]\nuse = egg:swift#{name}\n"
    for name in _FILTERS
    if name not in {"cache", "s3api", "tempauth", "versioned_writes"}
)


def swift_works(directory: Path) -> bool:
    """Whether it is installed, and can keep its attributes there."""
    if sys.platform != "linux" or find_spec("swift") is None:
        return False
    probe = directory / "attributes"
    probe.touch()
    with suppress(OSError):
        os.setxattr(probe, "user.swift", b"x")
        return True
    return False


class Swift(S3Server):
    """`objects` is the process of the server of objects. A busy machine makes it answer 503."""

    def __init__(self, url: str, objects: "subprocess.Popen[bytes]") -> None:
        super().__init__(url, KEY, SECRET, attempts=5)
        self._objects = objects

    @contextmanager
    def without_objects(self) -> Iterator[None]:
        """Its server of objects stands still: what it is asked for ends in a 503."""
        self._objects.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._objects.send_signal(signal.SIGCONT)


@contextmanager
def swift(home: Path) -> Iterator[Swift]:
    """All of it, in `home`, which must be empty."""
    ports = {kind: free_port() for kind in (*_KINDS, "proxy")}
    (home / "disk").mkdir()
    (home / "swift.conf").write_text(_SWIFT)
    for kind, port in ports.items():
        text = _DEFAULT.format(port=port, home=home, user=getuser())
        text += _PROXY if kind == "proxy" else _STORAGE.format(kind=kind)
        (home / f"{kind}.conf").write_text(text)
    words = [f"{kind}:{ports[kind]}" for kind in _KINDS]
    subprocess.run([sys.executable, "-c", _RINGS, *words], cwd=home, check=True)
    with ExitStack() as stack:
        started = {kind: stack.enter_context(_server(home, kind)) for kind in ports}
        for kind, port in ports.items():
            _await(started[kind], port, home / f"{kind}.log")
        s3 = Swift(f"http://127.0.0.1:{ports['proxy']}", started["object"])
        stack.callback(s3.client.close)
        yield s3


@contextmanager
def _server(home: Path, kind: str) -> Iterator["subprocess.Popen[bytes]"]:
    program = Path(sysconfig.get_path("scripts")) / f"swift-{kind}-server"
    environment = {"PATH": os.environ["PATH"], "SWIFT_CONF_FILE": str(home / "swift.conf")}
    with (
        open(home / f"{kind}.log", "wb") as log,
        subprocess.Popen(
            [program, home / f"{kind}.conf", "-v"],
            stdout=log,
            stderr=log,
            env=environment,
            cwd=home,
            start_new_session=True,  # it signals its process group when it ends
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _await(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Until it listens, which it does not say."""
    deadline = time.monotonic() + WAIT_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.02)
    raise AssertionError(f"it does not listen: {log.read_text()}")
