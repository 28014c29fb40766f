"""Servers and proxies of other people on loopback: Apache, squid, tinyproxy, dante, microsocks.

    with apache({"page.html": b"..."}) as url: ...
    with squid() as url: ...          # also tinyproxy, dante, microsocks

A test is skipped where the program is not installed, and its package is named; also where it does
not start. Each runs in the foreground with a configuration of its own, and ends with the block.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import WAIT_S, free_port

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"


def found(program: str, package: str) -> str:
    """The path of `program`. Skips the test if there is none."""
    path = shutil.which(program, path=_PATH)
    if path is None:
        pytest.skip(f"there is no {program}: apt-get install {package}")
    return path


@contextmanager
def running(words: Sequence[str], port: int, log: Path) -> Iterator[None]:
    """The program, once it listens at `port`; what it says goes to `log`."""
    with log.open("wb") as said, subprocess.Popen(words, stdout=said, stderr=said) as process:
        try:
            until = time.monotonic() + WAIT_S
            while True:
                if process.poll() is not None:  # it may need rights that there are not
                    said_last = log.read_text(errors="replace").strip()[-300:]
                    pytest.skip(f"{Path(words[0]).name} does not start here: {said_last}")
                assert time.monotonic() < until, f"{words[0]} does not listen"
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=10).close()
                    break
                except OSError:
                    time.sleep(0.01)
            yield
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()


_APACHE = """
ServerRoot {directory}
ServerName localhost
DefaultRuntimeDir {directory}
PidFile {directory}/pid
Listen 127.0.0.1:{port}
ErrorLog /dev/null
StartServers 1
DocumentRoot {directory}/pages
{modules}
{user}
TypesConfig /dev/null
AddType text/html .html
<Directory {directory}/pages>
  Require all granted
</Directory>
<Location /gzip/>
  SetOutputFilter DEFLATE
</Location>
<Location /br/>
  SetOutputFilter BROTLI_COMPRESS
</Location>
"""
# Debian's mod_qos needs the older libpcre, and does not load it itself.
_PCRE = "".join(f"LoadFile {one}\n" for one in Path("/lib").glob("*/libpcre.so.3"))
_MODULES = ("mpm_event", "authz_core", "mime", "filter", "deflate", "brotli")


@contextmanager
def public_directory() -> Iterator[Path]:
    """A directory that programs can read which leave root behind; that of pytest is private."""
    with tempfile.TemporaryDirectory(prefix="real-") as name:
        directory = Path(name)
        directory.chmod(0o777)
        yield directory


@contextmanager
def apache(pages: Mapping[str, bytes], module: str = "", more: str = "") -> Iterator[str]:
    """Debian's Apache: pages below `/plain/`, and coded below `/gzip/` and `/br/`; its URL.

    `module`: one more, of a package that may be missing. `more`: lines of the configuration.
    """
    program = found("apache2", "apache2")
    modules = Path("/usr/lib/apache2/modules")
    if not all((modules / f"mod_{name}.so").exists() for name in _MODULES):
        pytest.skip("Apache's modules are elsewhere")
    with public_directory() as directory:
        for place in ("plain", "gzip", "br"):
            (directory / "pages" / place).mkdir(parents=True)
            for name, content in pages.items():
                (directory / "pages" / place / name).write_bytes(content)
        port = free_port()
        loaded = "\n".join(f"LoadModule {one}_module {modules}/mod_{one}.so" for one in _MODULES)
        if module:
            if not (path := modules / f"mod_{module}.so").exists():
                pytest.skip(f"there is no mod_{module}: apt-get install libapache2-mod-{module}")
            loaded += f"\n{_PCRE}LoadModule {module}_module {path}"
        user = "User nobody\nGroup nogroup" if os.geteuid() == 0 else ""
        config = directory / "apache.conf"
        said = _APACHE.format(directory=directory, port=port, modules=loaded, user=user)
        config.write_text(said + more)
        words = [program, "-DFOREGROUND", "-f", str(config)]
        with running(words, port, directory / "log"):
            yield f"http://127.0.0.1:{port}"


_SQUID = """
http_port 127.0.0.1:{port}
visible_hostname localhost
access_log none
cache_log /dev/null
pid_filename none
netdb_filename none
cache deny all
coredump_dir {directory}
shutdown_lifetime 0 seconds
acl forbidden port 7
http_access deny forbidden
{rules}
http_access allow all
"""
_TINYPROXY = """
Port {port}
Listen 127.0.0.1
LogLevel Critical
PidFile "{directory}/pid"
"""
_DANTE = """
errorlog: /dev/null
internal: 127.0.0.1 port = {port}
external: 127.0.0.1
socksmethod: none
clientmethod: none
user.privileged: root
user.unprivileged: nobody
client pass {{ from: 127.0.0.0/8 to: 0.0.0.0/0 }}
socks block {{ from: 0.0.0.0/0 to: 127.0.0.2/32 }}
socks pass {{ from: 0.0.0.0/0 to: 0.0.0.0/0 }}
"""


@contextmanager
def squid(*rules: str) -> Iterator[str]:
    """Debian's squid, which forbids port 7 and obeys more `rules`; its URL."""
    program = found("squid", "squid")
    with public_directory() as directory:
        port, config = free_port(), directory / "squid.conf"
        rest = "\n".join(rules)
        config.write_text(_SQUID.format(port=port, directory=directory, rules=rest))
        with running([program, "-N", "-f", str(config)], port, directory / "log"):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def tinyproxy() -> Iterator[str]:
    """Debian's tinyproxy; its URL."""
    program = found("tinyproxy", "tinyproxy")
    with public_directory() as directory:
        port, config = free_port(), directory / "tinyproxy.conf"
        config.write_text(_TINYPROXY.format(port=port, directory=directory))
        with running([program, "-d", "-c", str(config)], port, directory / "log"):
            yield f"http://127.0.0.1:{port}"


@contextmanager
def dante() -> Iterator[str]:
    """Debian's dante, which forbids 127.0.0.2; its `host:port`."""
    program = found("danted", "dante-server")
    if os.geteuid() != 0:
        pytest.skip("dante wants to be started by root")
    with public_directory() as directory:
        port, config = free_port(), directory / "danted.conf"
        config.write_text(_DANTE.format(port=port))
        words = [program, "-f", str(config), "-p", str(directory / "pid")]
        with running(words, port, directory / "log"):
            yield f"127.0.0.1:{port}"


@contextmanager
def microsocks() -> Iterator[str]:
    """Debian's microsocks; its `host:port`."""
    program = found("microsocks", "microsocks")
    with public_directory() as directory:
        port = free_port()
        with running([program, "-i", "127.0.0.1", "-p", str(port)], port, directory / "log"):
            yield f"127.0.0.1:{port}"
