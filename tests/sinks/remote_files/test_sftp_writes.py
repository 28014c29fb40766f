"""A write that fails in the middle of a file: paramiko alone would leave a hole of that size."""

import socket
import threading
from collections.abc import Iterator
from io import BytesIO
from types import SimpleNamespace

import paramiko
import pytest
from paramiko.common import AUTH_SUCCESSFUL, OPEN_SUCCEEDED
from paramiko.sftp import SFTP_FAILURE, SFTP_OK

from scraper.sinks.remote_files.faults import Fault
from scraper.sinks.remote_files.sftp import SftpServer

PIECE = 32768


class _Handle(paramiko.SFTPHandle):
    def write(self, offset: int, data: object) -> int:
        return SFTP_FAILURE if offset == PIECE else SFTP_OK


class _Files(paramiko.SFTPServerInterface):
    def open(self, path: str, flags: int, attr: paramiko.SFTPAttributes) -> paramiko.SFTPHandle:
        return _Handle(flags)


class _Anyone(paramiko.ServerInterface):
    def check_auth_none(self, username: str) -> int:
        return AUTH_SUCCESSFUL

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return OPEN_SUCCEEDED


@pytest.fixture
def sftp() -> Iterator[paramiko.SFTPClient]:
    """A client of a server whose second write fails."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            server = paramiko.Transport(listening.accept()[0])
            server.add_server_key(paramiko.ECDSAKey.generate())
            server.set_subsystem_handler("sftp", paramiko.SFTPServer, _Files)
            server.start_server(server=_Anyone())

        threading.Thread(target=serve, daemon=True).start()
        transport = paramiko.Transport(listening.getsockname())
        transport.connect()
        transport.auth_none("me")
        client = paramiko.SFTPClient.from_transport(transport)
        assert client is not None
        yield client
        transport.close()


def test_a_write_that_fails_in_the_middle_is_noticed(sftp: paramiko.SFTPClient) -> None:
    server = SftpServer(SimpleNamespace(ftp=sftp))
    with pytest.raises(Fault, match="Failure"):
        server.put("/file", BytesIO(b"x" * 8 * PIECE), None)
