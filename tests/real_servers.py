"""Servers and proxies of other people on loopback: Apache, squid, tinyproxy, dante, microsocks.

    with apache({"page.html": b"..."}) as url: ...
    with squid() as url: ...          # also tinyproxy, dante, microsocks

A test is skipped where the program is not installed, and its package is named. Each runs in the
foreground with a configuration of its own, and ends with the block.
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
                assert process.poll() is None, log.read_text(errors="replace")[-2000:]
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
_MODULES = ("mpm_event", "authz_core", "mime", "filter", "deflate", "brotli")


@contextmanager
def public_directory() -> Iterator[Path]:
    """A directory that programs can read which leave root behind; that of pytest is private."""
    with tempfile.TemporaryDirectory(prefix="real-") as name:
        directory = Path(name)
        directory.chmod(0o777)
        yield directory


@contextmanager
def apache(pages: Mapping[str, bytes]) -> Iterator[str]:
    """Debian's Apache: pages below `/gzip/` and `/br/` are coded; its URL."""
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
        user = "User nobody\nGroup nogroup" if os.geteuid() == 0 else ""
        config = directory / "apache.conf"
        config.write_text(_APACHE.format(directory=directory, port=port, modules=loaded, user=user))
        words = [program, "-DFOREGROUND", "-f", str(config)]
        with running(words, port, directory / "log"):
            yield f"http://127.0.0.1:{port}"
