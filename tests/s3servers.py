"""S3 servers on loopback: moto's, rclone's, and a front that breaks what it is told to.

    with moto() as s3:       # or rclone(directory), or Front(s3.url, fault), or Wire(s3.url, most)
        bucket = s3.make_bucket()
        sink = S3Sink(bucket, "p", s3.options())
        assert s3.read(bucket, "p/key") == b"..."

Each says itself when it listens; nobody sleeps. moto takes any secret and any
digest, rclone takes any digest; Swift (`tests/swift.py`), which starts slowly, takes
neither.
"""

import re
import socket
import ssl
import subprocess
import sysconfig
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from moto.server import ThreadedMotoServer

from scraper.model.settings import S3
from scraper.sinks.base import SinkOptions
from tests.servers import WAIT_S, RawServer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

KEY, SECRET = "test-key", "test-secret"


def credentials(key: str, secret: str) -> dict[str, str]:
    """The variables that boto3 reads."""
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}


CREDENTIALS = credentials(KEY, SECRET)
_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server"}
_NOT_SENT = _HOP - {"date"} | {"expect"}  # Azure signs the date of a request


class S3Server:
    """An endpoint, and a client of its own that looks at what is there."""

    scheme = "s3"

    def __init__(
        self, url: str, key: str = KEY, secret: str = SECRET, *, attempts: int = 1
    ) -> None:
        self.url = url
        self.credentials = credentials(key, secret)
        self.client: S3Client = boto3.client(
            "s3",
            "us-east-1",
            endpoint_url=url,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": attempts, "mode": "standard"},
                response_checksum_validation="when_required",  # else a 500 may be no ClientError
            ),
        )

    def words(self, endpoint: str = "") -> list[str]:
        """Options of a program that stores here, or by way of `endpoint`."""
        return ["--s3-endpoint", endpoint or self.url]

    def environment(self, endpoint: str = "") -> dict[str, str]:
        """Variables of such a program."""
        del endpoint
        return self.credentials

    def options(self, **s3: Any) -> SinkOptions:
        """Of a run that stores here."""
        return SinkOptions(max_concurrency=8, s3=S3(endpoint=self.url, **s3))

    def make_bucket(self) -> str:
        """The name of a new bucket."""
        name = f"bucket-{uuid.uuid4()}"
        self.client.create_bucket(Bucket=name)
        return name

    def read(self, bucket: str, key: str) -> bytes | None:
        """The object's bytes, None without one.

        Asked again after a 500 (moto, when the object is being replaced), after a 503 (Swift, on a
        busy machine), and where the kept connection is closed: rclone, which looks at the file once
        more after the last byte, closes it if another put has begun by then.
        """
        for attempt in range(10):
            try:
                return self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
            except ConnectionClosedError:
                if attempt == 9:
                    raise
            except ClientError as error:
                if error.response["Error"]["Code"] in {"NoSuchKey", "404"}:
                    return None
                code = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if attempt == 9 or code not in {500, 503}:
                    raise
        raise AssertionError("not reached")

    def put(self, bucket: str, key: str, data: bytes) -> None:
        """Put an object as another program would."""
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def damage(self, bucket: str, key: str, data: bytes) -> None:
        """Change the bytes of an object, and nothing that is stored beside them."""
        metadata = self.client.head_object(Bucket=bucket, Key=key)["Metadata"]
        self.client.put_object(Bucket=bucket, Key=key, Body=data, Metadata=metadata)

    def delete(self, bucket: str, key: str) -> None:
        """Delete an object."""
        self.client.delete_object(Bucket=bucket, Key=key)

    def keys(self, bucket: str) -> set[str]:
        """All of a bucket."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {found["Key"] for page in pages for found in page.get("Contents", [])}

    def unfinished(self, bucket: str) -> list[str]:
        """Keys of multipart uploads that were neither completed nor aborted."""
        try:
            found = self.client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        except self.client.exceptions.NoSuchUpload:  # how rclone says that there are none
            return []
        except ClientError as error:
            if error.response["Error"]["Code"] != "NotImplemented":  # s3rver does not tell
                raise
            return []
        return [upload["Key"] for upload in found]


@contextmanager
def moto() -> Iterator[S3Server]:
    """moto's server in this process; its buckets are the whole process's."""
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    s3 = S3Server(f"http://{host}:{port}")
    try:
        yield s3
    finally:
        s3.client.close()
        server.stop()


@contextmanager
def rclone(directory: Path, address: str = "127.0.0.1:0") -> Iterator[S3Server]:
    """`rclone serve s3`: each directory in `directory` is a bucket."""
    program = Path(sysconfig.get_path("scripts")) / "rclone"
    command = [program, "serve", "s3", directory, "--addr", address, "--config", ""]
    with subprocess.Popen(
        [*map(str, command), "--auth-key", f"{KEY},{SECRET}", "--vfs-cache-mode", "off"],
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            said = ""
            while not (found := re.search(r"Starting s3 server on \[(http://[^/\]]+)", said)):
                line = process.stderr.readline()
                assert line, f"rclone ended: {said}"
                said += line
            drain = threading.Thread(target=process.stderr.read, daemon=True)
            drain.start()
            s3 = S3Server(found[1])
            yield s3
            s3.client.close()
        finally:
            process.terminate()
            process.wait()


CUT, LOST = 0, -1  # no answer of a Front's


class Refusal(NamedTuple):
    """An answer of a Front's, with what S3 says in words and headers of its own."""

    status: int
    code: str
    message: str = "as the test wants"
    headers: Mapping[str, str] = {}


Fault = Callable[["Asked"], Refusal | tuple[int, str] | None]
Alter = Callable[["Asked", bytes], bytes]


class Asked:
    """One request at a Front: `operation` is `PUT`, `PUT part`, `POST begin`, `DELETE abort`...

    `number` counts the requests of this operation, from 1; `headers` are lower-case. `carried` is
    set once the endpoint has answered it.
    """

    def __init__(self, operation: str, number: int, path: str, headers: dict[str, str]) -> None:
        self.operation = operation
        self.number = number
        self.path = path
        self.headers = headers
        self.carried = threading.Event()


class Front:
    """A proxy before an endpoint. `fault(asked)` answers (status, S3 code) instead of it;

    None lets the request pass; status CUT cuts the connection once it was read, LOST once it was
    carried out. `alter(asked, body)` is the body that passes.
    """

    def __init__(
        self,
        upstream: str,
        fault: Fault,
        tls: ssl.SSLContext | None = None,
        alter: Alter = lambda _, body: body,
    ) -> None:
        self.asked: list[Asked] = []
        self.connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self._upstream = urlsplit(upstream).netloc
        self._fault = fault
        self._alter = alter
        front = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # answers Expect: 100-continue too

            def setup(self) -> None:
                super().setup()
                front.connections.append(self.connection)

            def do_GET(self) -> None:
                front.carry(self)

            do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815 - http.server's names

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in self.connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def options(self, **s3: Any) -> SinkOptions:
        """Of a run that stores through this."""
        return SinkOptions(max_concurrency=8, s3=S3(endpoint=self.url, **s3))

    def count(self, operation: str) -> int:
        """Requests so far."""
        with self._lock:
            return sum(asked.operation == operation for asked in self.asked)

    def carry(self, request: BaseHTTPRequestHandler) -> None:
        """Answer one request, or ask upstream."""
        body = request.rfile.read(int(request.headers.get("content-length", "0")))
        asked = self._note(request)
        answer = self._fault(asked)
        if answer is None or answer[0] == LOST:
            reply, content = self._ask(request, self._alter(asked, body))
            asked.carried.set()
            if answer is None:
                self._pass(request, reply, content)
                return
        if answer[0] in {CUT, LOST}:
            request.close_connection = True
            return
        refusal = Refusal(*answer)
        words = f"<Code>{refusal.code}</Code><Message>{escape(refusal.message)}</Message>"
        said = f"<Error>{words}</Error>".encode()
        request.send_response(refusal.status)
        for name, value in refusal.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Type", "application/xml")
        request.send_header("Content-Length", str(len(said)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(said)

    def _note(self, request: BaseHTTPRequestHandler) -> Asked:
        query = urlsplit(request.path).query
        operation = request.command
        if "partNumber=" in query:
            operation += " part"
        elif "uploads" in query:
            operation += " begin"
        elif "uploadId=" in query:
            operation += " abort" if operation == "DELETE" else " complete"
        with self._lock:
            number = 1 + sum(asked.operation == operation for asked in self.asked)
            headers = {name.lower(): value for name, value in request.headers.items()}
            asked = Asked(operation, number, request.path, headers)
            self.asked.append(asked)
        return asked

    def _ask(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[HTTPResponse, bytes]:
        upstream = HTTPConnection(self._upstream, timeout=30)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _NOT_SENT}
        try:
            upstream.request(request.command, request.path, body, headers)
            reply = upstream.getresponse()
            return reply, reply.read()
        finally:
            upstream.close()

    @staticmethod
    def _pass(request: BaseHTTPRequestHandler, reply: HTTPResponse, content: bytes) -> None:
        request.send_response(reply.status)
        for name, value in reply.getheaders():
            if name.lower() not in _HOP | {"content-length"}:
                request.send_header(name, value)
        told = reply.getheader("content-length") if request.command == "HEAD" else None
        request.send_header("Content-Length", told or str(len(content)))
        request.end_headers()
        request.wfile.write(content)


class Wire:
    """To an S3 server, and stuck there once a connection has carried more than `most` bytes up.

    Stuck until `cut` is set, then cut. This happens `times` times; then all goes through.
    """

    def __init__(self, upstream: str, most: int, times: int = 1_000_000) -> None:
        self.stuck = threading.Event()
        self.cut = threading.Event()  # set by the test when the client is gone
        self.ended = threading.Event()  # the server has got over it
        self._upstream = urlsplit(upstream)
        self._most = most
        self._turns = iter(range(times))
        self._raw = RawServer(self._carry)
        self.url = self._raw.url

    def close(self) -> None:
        """Cut everything."""
        self.cut.set()
        self._raw.close()

    def _carry(self, number: int, sock: socket.socket) -> None:
        with socket.create_connection((self._upstream.hostname, self._upstream.port)) as server:
            back = threading.Thread(target=_copy, args=(server, sock))
            back.start()
            sent, stuck = 0, False
            while not stuck and (data := sock.recv(65_536)):
                server.sendall(data)
                sent += len(data)
                stuck = sent > self._most and next(self._turns, None) is not None
            if stuck:
                self.stuck.set()
                assert self.cut.wait(WAIT_S)
                with suppress(OSError):  # no answer to what was cut reaches the client
                    sock.shutdown(socket.SHUT_RDWR)
            with suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join()
            if stuck:
                self.ended.set()


def _copy(source: socket.socket, to: socket.socket) -> None:
    with suppress(OSError):  # one of them is gone
        while data := source.recv(65_536):
            to.sendall(data)
