"""nginx, Apache and haproxy with HTTP/2 over TLS, before a server of ours on loopback.

    with nginx(backend.url) as server:              # or apache, haproxy
        fetch(server.url + "/", cacert=server.pem)

See `real_servers.py` for what happens where one is not installed.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from tests.real_servers import found, public_directory, running
from tests.servers import free_port

_NGINX = """
daemon off; worker_processes 1; pid {directory}/pid; error_log stderr;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {directory}/a; proxy_temp_path {directory}/b;
  fastcgi_temp_path {directory}/c; uwsgi_temp_path {directory}/d; scgi_temp_path {directory}/e;
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {certificate}; ssl_certificate_key {certificate};
    location / {{ proxy_pass {backend}; }}
  }}
}}
"""

_APACHE = """
ServerRoot {directory}
ServerName localhost
DefaultRuntimeDir {directory}
PidFile {directory}/pid
Listen 127.0.0.1:{port}
ErrorLog /dev/null
StartServers 1
{modules}
{user}
Protocols h2 http/1.1
SSLEngine on
SSLCertificateFile {certificate}
ProxyPass / {backend}/
"""
_MODULES = ("mpm_event", "authz_core", "http2", "ssl", "proxy", "proxy_http")

_HAPROXY = """
defaults
  mode http
  timeout connect 60s
  timeout client 120s
  timeout server 120s
listen all
  bind 127.0.0.1:{port} ssl crt {certificate} alpn h2,http/1.1
  server one {backend}
"""


class Server(NamedTuple):
    """Its URL, and the file of the authority to trust."""

    url: str
    pem: Path


def _certificate(directory: Path) -> tuple[Path, Path]:
    """Files in PEM: a certificate for 127.0.0.1 with its key, and its authority."""
    authority = trustme.CA()
    both, pem = directory / "both.pem", directory / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(both))
    authority.cert_pem.write_to_path(str(pem))
    return both, pem


@contextmanager
def _configured(template: str, words: list[str], **values: object) -> Iterator[Server]:
    """The program of `words`, which may have `{config}` and `{directory}` in them."""
    with public_directory() as directory:
        certificate, pem = _certificate(directory)
        port, config = free_port(), directory / "config"
        config.write_text(
            template.format(directory=directory, port=port, certificate=certificate, **values)
        )
        words = [word.format(config=config, directory=directory) for word in words]
        with running(words, port, directory / "log"):
            yield Server(f"https://127.0.0.1:{port}", pem)


@contextmanager
def nginx(backend: str) -> Iterator[Server]:
    """It ends a connection of HTTP/2 for a URL of 20,000 bytes."""
    words = [found("nginx", "nginx-light"), "-p", "{directory}", "-c", "{config}", "-e", "stderr"]
    with _configured(_NGINX, words, backend=backend) as server:
        yield server


@contextmanager
def apache(backend: str) -> Iterator[Server]:
    """It works on six streams of a new connection, and announces a hundred."""
    program = found("apache2", "apache2")
    at = Path("/usr/lib/apache2/modules")
    if not all((at / f"mod_{name}.so").exists() for name in _MODULES):
        pytest.skip("Apache's modules are elsewhere")
    modules = "\n".join(f"LoadModule {name}_module {at}/mod_{name}.so" for name in _MODULES)
    user = "User nobody\nGroup nogroup" if os.geteuid() == 0 else ""
    words = [program, "-DFOREGROUND", "-f", "{config}"]
    with _configured(_APACHE, words, backend=backend, modules=modules, user=user) as server:
        yield server


@contextmanager
def haproxy(backend: str) -> Iterator[Server]:
    """It ends a connection of HTTP/2 for a URL of 20,000 bytes."""
    words = [found("haproxy", "haproxy"), "-db", "-f", "{config}"]
    with _configured(_HAPROXY, words, backend=backend.removeprefix("http://")) as server:
        yield server
