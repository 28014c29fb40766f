"""Ceph's radosgw on loopback: S3 as many providers have it.

    with radosgw(directory) as s3:           # an S3Server; needs `make stores`, and Debian
        bucket = s3.make_bucket()

It is a monitor, one OSD that keeps everything in memory, and the gateway. The packages are only
unpacked: nothing of them is installed or started by the system. RADOSGW names the directory that
they are unpacked in; without it that is build/ceph.

It answers 412 to a condition whose ETag is right and in quotes, and takes it without them. So it is
the store that shows whether a lease is renewed and taken over there too.
"""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path

from tests.s3servers import S3Server, credentials
from tests.servers import WAIT_S, free_port

KEY, SECRET = "testkey", "test-secret"
GUEST, GUEST_SECRET = "guestkey", "guest-secret"
_ROOT = Path(os.environ.get("RADOSGW", Path(__file__).parent.parent / "build" / "ceph"))
_LIBRARIES = ("lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu/ceph")
# Without mgr and authentication. The OSD changes no map of its own: this monitor refuses that.
_CONF = """
[global]
fsid = {fsid}
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
mon host = v1:127.0.0.1:{monitor}
public addr = 127.0.0.1
mon data = {home}/mon
mon allow pool size one = true
osd data = {home}/osd
osd objectstore = memstore
memstore device bytes = 8589934592
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd crush chooseleaf type = 0
osd class update on start = false
osd crush update on start = false
osd class dir = {root}/usr/lib/x86_64-linux-gnu/rados-classes
erasure code dir = {root}/usr/lib/x86_64-linux-gnu/ceph/erasure-code
plugin dir = {root}/usr/lib/x86_64-linux-gnu/ceph
run dir = {home}
admin socket = {home}/$name.asok
log file = {home}/$name.log
[client.rgw]
rgw frontends = beast endpoint=127.0.0.1:{gateway}
rgw data = {home}/rgw
"""


class Radosgw(S3Server):
    """There is a second user, who may do what the policy of a bucket allows."""

    def let_guest_in(self, bucket: str, *denied: str) -> Mapping[str, str]:
        """All actions but these (`s3:GetObject`), in the bucket. Returns the guest's variables.

        They are denied, not left out: who has put an object may always read it here.
        """
        common = {
            "Principal": {"AWS": ["arn:aws:iam:::user/guest"]},
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        }
        statements = [{"Effect": "Allow", "Action": ["s3:*"], **common}]
        if denied:
            statements.append({"Effect": "Deny", "Action": [*denied], **common})
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        self.client.put_bucket_policy(Bucket=bucket, Policy=policy)
        return credentials(GUEST, GUEST_SECRET)


def radosgw_works() -> bool:
    """Whether its packages are unpacked."""
    return (_ROOT / "usr" / "bin" / "radosgw").exists()


def version() -> str:
    """What the program says of itself."""
    command = [str(_ROOT / "usr" / "bin" / "radosgw"), "--version"]
    said = subprocess.run(command, env=_environment(), capture_output=True, text=True, check=True)
    return said.stdout.split()[2]


@contextmanager
def radosgw(home: Path) -> Iterator["Radosgw"]:
    """All of it, in `home`, which must be empty. A path of a socket is short, so is `home`."""
    fsid, gateway, monitor = str(uuid.uuid4()), free_port(), free_port()
    for name in ("mon", "osd", "rgw"):
        (home / name).mkdir()
    conf = _CONF.format(fsid=fsid, home=home, root=_ROOT, gateway=gateway, monitor=monitor)
    (home / "ceph.conf").write_text(conf)
    at = f"[v1:127.0.0.1:{monitor}]"
    _do(home, "monmaptool", "--create", "--addv", "a", at, "--fsid", fsid, "monmap")
    _do(home, "ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap")
    with ExitStack() as stack:
        stack.enter_context(_server(home, "ceph-mon", "-i", "a"))
        osd = str(uuid.uuid4())
        _do(home, "ceph", "osd", "new", osd, unless=b"command descriptions")
        _do(home, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        stack.enter_context(_server(home, "ceph-osd", "-i", "0"))
        _do(home, "ceph", "osd", "crush", "add", "osd.0", "1", "root=default")
        for uid, key, secret in (("u", KEY, SECRET), ("guest", GUEST, GUEST_SECRET)):
            keys = ("--access-key", key, "--secret-key", secret)
            names = ("--uid", uid, "--display-name", uid)
            _do(home, "radosgw-admin", "user", "create", *names, *keys)
        process = stack.enter_context(_server(home, "radosgw", "-n", "client.rgw"))
        _await(process, gateway)
        s3 = Radosgw(f"http://127.0.0.1:{gateway}", KEY, SECRET)
        stack.callback(s3.client.close)
        yield s3


def _command(home: Path, program: str, *words: str) -> list[str]:
    found = str(_ROOT / "usr" / "bin" / program)
    # `ceph` is a script, for the Python of the system that its packages are for.
    interpreter = ["/usr/bin/python3"] if program == "ceph" else []
    return [*interpreter, found, "-c", str(home / "ceph.conf"), *words]


def _environment() -> Mapping[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "LD_LIBRARY_PATH": ":".join(str(_ROOT / path) for path in _LIBRARIES),
        "PYTHONPATH": str(_ROOT / "usr" / "lib" / "python3" / "dist-packages"),
    }


def _do(home: Path, *words: str, unless: bytes = b"") -> None:
    """Do it, again as long as the answer has `unless`: a monitor that begins knows no commands."""
    command, deadline = _command(home, *words), time.monotonic() + WAIT_S
    while True:
        done = subprocess.run(
            command, cwd=home, env=_environment(), capture_output=True, timeout=WAIT_S, check=False
        )
        if not (unless and unless in done.stderr and time.monotonic() < deadline):
            break
        time.sleep(0.1)
    assert done.returncode == 0, (json.dumps(command), done.stdout, done.stderr)


@contextmanager
def _server(home: Path, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    with (
        open(home / f"{words[0]}.out", "wb") as log,
        subprocess.Popen(
            [*_command(home, *words), "-f"],
            stdout=log,
            stderr=log,
            env=_environment(),
            cwd=home,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _await(process: "subprocess.Popen[bytes]", port: int) -> None:
    """Until the gateway answers."""
    deadline = time.monotonic() + WAIT_S
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError):
            connection = HTTPConnection("127.0.0.1", port, timeout=1)
            connection.request("GET", "/")
            connection.getresponse().read()
            connection.close()
            return
        time.sleep(0.05)
    raise AssertionError("radosgw does not answer")
