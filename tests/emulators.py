"""Emulators of S3 on loopback that are no packages of our tests: s3rver (npm), LocalStack (pip).

    with s3rver(directory) as s3:        # an S3Server; needs `make stores`, or S3RVER
    with localstack(directory) as s3:    # needs `make stores`, or LOCALSTACK

s3rver ignores conditions. LocalStack judges them, and checks digests; it is the one that is nearest
to Amazon. Both take any secret. Neither shares our environment: LocalStack pins libraries that moto
has in other versions. S3RVER names the directory that npm installed into, LOCALSTACK that of an
environment of Python. Without them these are build/npm and build/localstack.
"""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.s3servers import KEY, SECRET, S3Server
from tests.servers import free_port

_BUILD = Path(__file__).parent.parent / "build"
S3RVER = Path(os.environ.get("S3RVER", _BUILD / "npm")) / "node_modules/s3rver/bin/s3rver.js"
_S3RVER_KEY = "S3RVER"  # the only one that it knows
LOCALSTACK = Path(os.environ.get("LOCALSTACK", _BUILD / "localstack")) / "bin/python"


def s3rver_works() -> bool:
    """Whether npm has installed it."""
    return S3RVER.exists() and shutil.which("node") is not None


def localstack_works() -> bool:
    """Whether pip has installed it."""
    return LOCALSTACK.exists()


@contextmanager
def s3rver(home: Path) -> Iterator[S3Server]:
    """It keeps its buckets in `home`."""
    words = ["node", str(S3RVER), "-d", str(home), "-a", "127.0.0.1", "-p", "0", "-s"]
    words += ["--no-vhost-buckets", "--allow-mismatched-signatures"]
    listens = re.compile(r"S3rver listening on (127\.0\.0\.1:\d+)")
    with said(words, {}, home, listens) as found:
        s3 = S3Server(f"http://{found[1]}", _S3RVER_KEY)
        yield s3
        s3.client.close()


@contextmanager
def localstack(home: Path) -> Iterator[S3Server]:
    """Of all its services only S3."""
    port = free_port()
    environment = {
        "SERVICES": "s3",
        "EAGER_SERVICE_LOADING": "1",
        "GATEWAY_LISTEN": f"127.0.0.1:{port}",
        "HOME": str(home),
        "TMPDIR": str(home),
        "DNS_ADDRESS": "0",  # no server of names
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
    }
    words = [str(LOCALSTACK), "-m", "localstack.runtime.main"]
    with said(words, environment, home, re.compile("^Ready.$", re.MULTILINE)):
        s3 = S3Server(f"http://127.0.0.1:{port}")
        yield s3
        s3.client.close()


@contextmanager
def said(
    words: Sequence[str], environment: Mapping[str, str], home: Path, ready: re.Pattern[str]
) -> Iterator[re.Match[str]]:
    """A server that runs in `home`, once it has said that it is ready."""
    with subprocess.Popen(
        words,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], **environment},
        cwd=home,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            said, found = "", None
            while found is None:
                line = process.stdout.readline()
                assert line, f"{words} ended: {said}"
                said += line
                found = ready.search(said)
            drain = threading.Thread(target=_drain, args=(process.stdout,), daemon=True)
            drain.start()
            yield found
        finally:
            process.kill()


def _drain(stream: IO[str]) -> None:
    for _ in stream:
        pass
