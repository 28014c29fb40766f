"""What is asked: nginx on loopback, or a small server of ours where nginx is missing.

    with web(scratch) as served:
        (served.root / "a.bin").write_bytes(...)
        served.file("a.bin")              # http://127.0.0.1:PORT/a.bin
        served.page("x", "127.0.0.7")     # one page under any name, at any of HOSTS
        served.after(50, "x")             # the same, 50 ms later

Owns: configuration, ports, starting, stopping by pid. A page that takes its time
comes from nginx's echo module where Debian has put it, else from
`slow_server.py` in processes of its own; the table's ceiling shows in either
case what the server could have given. Rejected: a server in this process, whose
interpreter would be shared with the measuring.
"""

import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.servers import free_port

if TYPE_CHECKING:
    import trustme

HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 101))
TLS_HOSTS = tuple(f"127.0.{1 + number // 250}.{1 + number % 250}" for number in range(1_000))
DELAY_MS = 50  # of the slow server
SLOW_MS = 1_000  # of the slow hosts among the fast
PAGE_BYTES = 4_096
LIMITED = 20 << 20  # bytes a second of one connection, where it is limited
START_S = 30.0
BUCKET = "bench"
ECHO_MODULE = Path("/usr/lib/nginx/modules/ngx_http_echo_module.so")
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Store:
    """An S3 endpoint at `url`, which keeps the bucket `bucket` as a directory in `root`."""

    url: str
    root: Path
    bucket: str = BUCKET


@dataclass(frozen=True, slots=True)
class Web:
    """A server that serves `root`; `delayed_port` is where pages take their time.

    `tls_port` is where TLS_HOSTS speak TLS, and `authorities` a real bundle with theirs in it.
    `limits`: whether it can limit the speed of a connection. `store`: an S3 endpoint that does no
    more than puts need, None if it can't be one.
    """

    kind: str
    root: Path
    port: int
    delayed_port: int
    tls_port: int
    authorities: Path
    limits: bool = False
    store: "Store | None" = None

    def file(self, name: str) -> str:
        """The URL of a file in `root`."""
        return f"http://{HOSTS[0]}:{self.port}/{name}"

    def limited(self, name: str) -> str:
        """The URL of a file in `root`, of which a connection gets LIMITED bytes a second."""
        return f"http://{HOSTS[0]}:{self.port}/limited/{name}"

    def page(self, name: str, host: str = HOSTS[0]) -> str:
        """A URL of the page, whatever `name`."""
        return f"http://{host}:{self.port}/page/{name}"

    def secure(self, name: str, host: str) -> str:
        """A URL of the page over TLS, whatever `name`, at any of TLS_HOSTS."""
        return f"https://{host}:{self.tls_port}/page/{name}"

    def after(self, delay_ms: int, name: str, host: str = HOSTS[0]) -> str:
        """A URL of the page that is answered after `delay_ms` (DELAY_MS or SLOW_MS)."""
        return f"http://{host}:{self.delayed_port}/after/{delay_ms}/{name}"


@contextmanager
def scratch() -> Iterator[Path]:
    """A directory in memory where there is one with room, so that no disk is measured."""
    import tempfile

    memory = Path("/dev/shm")
    roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4e9
    with tempfile.TemporaryDirectory(prefix="bench-", dir=memory if roomy else None) as name:
        yield Path(name)


@contextmanager
def web(directory: Path, *, nginx: str | None = None, echo: bool = True) -> Iterator[Web]:
    """Serve `directory/www`, by the program `nginx` if there is one."""
    root = directory / "www"
    root.mkdir()
    (root / "page.bin").write_bytes(b"p" * PAGE_BYTES)
    echo = echo and ECHO_MODULE.exists()
    with ExitStack() as stack:
        authorities = directory / "authorities.pem"
        authority = _authority(authorities)
        store = None
        if nginx is None:
            port = delayed = stack.enter_context(_ours(root))
            tls = stack.enter_context(_secure(root, authority))
            kind = "a small asyncio server (nginx is missing)"
        else:
            _certify(directory, authority)
            port, tls = stack.enter_context(_nginx(nginx, directory, root, echo=echo))
            delayed = port
            store = Store(f"http://{HOSTS[0]}:{port}", directory / "stored")
            kind = f"{_version(nginx)} with its echo module"
        if nginx is not None and not echo:
            delayed = stack.enter_context(_ours(root))
            kind = f"{_version(nginx)}; a small asyncio server for delays"
        yield Web(kind, root, port, delayed, tls, authorities, nginx is not None, store)


def find_nginx() -> str | None:
    """Debian puts it where only root's PATH leads."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _version(nginx: str) -> str:
    said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False).stderr
    found = re.search(r"nginx/[\d.]+", said)
    return found[0] if found else "nginx"


@contextmanager
def _nginx(program: str, directory: Path, root: Path, *, echo: bool) -> Iterator[tuple[int, int]]:
    """Its ports: the usual one, and that of TLS_HOSTS."""
    port, tls = free_port(), free_port("0.0.0.0")
    made = directory / "stored" / BUCKET
    made.mkdir(parents=True)
    if os.geteuid() == 0:
        shutil.chown(made, pwd.getpwuid(os.getuid()).pw_name)
    config = directory / "nginx.conf"
    config.write_text(_configuration(directory, root, port, tls, echo=echo))
    command = [program, "-p", str(directory), "-c", str(config), "-e", "stderr"]
    with _running([command], port):
        yield port, tls


def _configuration(directory: Path, root: Path, port: int, tls: int, *, echo: bool) -> str:
    """One worker: it leaves a core to the tool, and is never the limit (see the ceiling)."""
    user = f"user {pwd.getpwuid(os.getuid()).pw_name};" if os.geteuid() == 0 else ""
    listen = "\n".join(f"    listen {host}:{port} backlog=4096;" for host in HOSTS)
    temporary = "\n".join(
        f"  {kind}_temp_path {directory}/nginx-{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    )
    delayed = "\n".join(
        f"    location /after/{ms}/ {{ echo_sleep {ms / 1000}; echo_exec /page.bin; }}"
        for ms in (DELAY_MS, SLOW_MS)
    )
    # What boto3 wants to see of S3: an ETag for each put, an empty list, and that nothing is there.
    missing = "<Error><Code>NoSuchKey</Code></Error>"
    empty = "<ListBucketResult><KeyCount>0</KeyCount><IsTruncated>false</IsTruncated>"
    puts = f"""
    location = /{BUCKET} {{ return 200 "{empty}</ListBucketResult>"; }}
    location /{BUCKET}/ {{
      root {directory}/stored;
      dav_methods PUT DELETE;
      create_full_put_path on;
      client_max_body_size 0;
      client_body_buffer_size 64k;
      add_header ETag '"{"0" * 32}"';
      error_page 404 @missing;
    }}
    location @missing {{ return 404 "{missing}"; }}"""
    return f"""
{f"load_module {ECHO_MODULE};" if echo else ""}
{user}
daemon off;
pid {directory}/nginx.pid;
error_log stderr emerg;
worker_processes 1;
worker_rlimit_nofile 8192;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_timeout 600;
  keepalive_requests 100000000;
{temporary}
  server {{
{listen}
    root {root};
    location /page/ {{ rewrite ^ /page.bin break; }}
    location /limited/ {{ alias {root}/; limit_rate {LIMITED}; }}
{delayed if echo else ""}
{puts}
  }}
  server {{
    listen 0.0.0.0:{tls} ssl backlog=4096;
    ssl_certificate {directory}/tls/$server_addr.pem;
    ssl_certificate_key {directory}/tls/$server_addr.pem;
    root {root};
    location /page/ {{ rewrite ^ /page.bin break; }}
  }}
}}
"""


@contextmanager
def _ours(root: Path) -> Iterator[int]:
    """Two processes at one port; the kernel shares connections out between them."""
    port = free_port()
    command = [sys.executable, "-m", "tests.bench.slow_server", str(root), str(port), *HOSTS]
    with _running([command, command], port):
        yield port


def _authority(authorities: Path) -> "trustme.CA":
    """A new authority. `authorities` becomes the bundle of certifi, with it at the end."""
    import certifi
    import trustme

    authority = trustme.CA()
    ours = authority.cert_pem.bytes().decode()
    authorities.write_text(f"{Path(certifi.where()).read_text(encoding='utf-8')}\n{ours}")
    return authority


def _certify(directory: Path, authority: "trustme.CA") -> None:
    """A certificate for each of TLS_HOSTS, as `directory/tls/ADDRESS.pem`.

    One that names them all would be slow to read, and the web has no such thing.
    """
    certificates = directory / "tls"
    certificates.mkdir()
    for host in TLS_HOSTS:
        issued = authority.issue_cert(host).private_key_and_cert_chain_pem
        issued.write_to_path(str(certificates / f"{host}.pem"))


@contextmanager
def _secure(root: Path, authority: "trustme.CA") -> Iterator[int]:
    """One process that speaks TLS at every address; one certificate has those of TLS_HOSTS."""
    pem = root.with_name("server.pem")
    issued = authority.issue_cert(*TLS_HOSTS, HOSTS[-1])
    issued.private_key_and_cert_chain_pem.write_to_path(str(pem))
    port = free_port("0.0.0.0")
    command = [sys.executable, "-m", "tests.bench.slow_server", "--tls", str(pem)]
    with _running([[*command, str(root), str(port), "0.0.0.0"]], port):
        yield port


@contextmanager
def _running(commands: Sequence[Sequence[str]], port: int) -> Iterator[None]:
    """Run `commands` until the end of the block; they have begun once every host answers."""
    with ExitStack() as stack:
        for command in commands:
            process = stack.enter_context(subprocess.Popen(command, cwd=REPOSITORY))
            stack.callback(process.terminate)
            _await(process, port)
        yield


def _await(process: "subprocess.Popen[bytes]", port: int) -> None:
    until = time.monotonic() + START_S
    while True:
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with status {process.returncode}")
        try:
            for host in HOSTS:  # asyncio begins to listen on them in any order
                socket.create_connection((host, port), timeout=1).close()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)  # nginx says nothing when it listens
        else:
            return
