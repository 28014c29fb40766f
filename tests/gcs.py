"""A server of ours that speaks the XML interface of Google Cloud Storage, on loopback.

    with gcs() as server:
        bucket = server.make_bucket()
        assert server.read(bucket, "key") == b"..."

obstore uses that interface, and no emulator that can be installed speaks it: fake-gcs-server and
gcp-storage-emulator answer its puts with 400, or without ETag. So this shows what a client sends
and how it takes each answer. It is written from Google's reference
(https://cloud.google.com/storage/docs/xml-api/reference-headers and its pages for each request):

- objects with Content-Type, Content-Encoding, x-goog-meta-*, x-goog-storage-class; at most 8 KiB
  of metadata; ETag is the MD5 but for uploads in parts; x-goog-generation grows
- x-goog-if-generation-match, judged in one step (0: there must be no object): 412
- lists in pages (list-type=2), ordered by the bytes of the keys, by folders (delimiter) too
- uploads in parts: begun, parts, completed, aborted; parts below 5 MiB but the last are refused
- bearer tokens with an end; those of a service account, of a user (`gcloud auth
  application-default login`) and of the metadata server; permissions that are taken away

It does not show IAM itself, quotas, replication, or how quick the real one is.
"""

import base64
import hashlib
import json
import re
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

_CLASSES = {"STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"}
_KEPT = ("content-type", "content-encoding", "x-goog-storage-class")
_LEAST_PART = 5 << 20
_MOST_METADATA = 8 << 10
TOKEN_PATH = "/token"
METADATA_PATH = "/computeMetadata/v1/instance/service-accounts/default/token"


class Refused(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, code: str, details: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.details = status, code, details


@dataclass(frozen=True, slots=True)
class Stored:
    """One object. `headers` are those that came with it; names in small letters."""

    data: bytes
    headers: Mapping[str, str]
    etag: str
    generation: int
    put_at: float = field(default_factory=time.time)


class Begun(NamedTuple):
    """An upload in parts."""

    bucket: str
    key: str
    headers: Mapping[str, str]
    parts: dict[int, bytes]


class Gcs:
    """The server. `denied`: permissions that nobody has; `lifetime_s`: of tokens from now on."""

    scheme = "gs"

    def __init__(self, url: str) -> None:
        self.url = url
        self.denied: set[str] = set()
        self.lifetime_s = 3600
        self.grants: list[str] = []  # how each token was asked for
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.uploads: dict[str, Begun] = {}
        self._buckets: dict[str, dict[str, Stored]] = {}
        self._tokens: dict[str, float] = {}
        self._keys: dict[str, rsa.RSAPublicKey] = {}
        self._generation = 1_700_000_000_000_000
        self._lock = threading.RLock()

    def words(self, endpoint: str = "") -> list[str]:
        """No options: all is in variables."""
        del endpoint
        return []

    def environment(self, endpoint: str = "") -> dict[str, str]:
        """Variables of a program that stores here, or by way of `endpoint`; its token lasts."""
        token = self.issue("given")
        return {"GOOGLE_BASE_URL": endpoint or self.url, "GOOGLE_BEARER_TOKEN": token}

    @property
    def credentials(self) -> dict[str, str]:
        """Its variables."""
        return self.environment()

    def issue(self, grant: str, lifetime_s: int | None = None) -> str:
        """A new token."""
        with self._lock:
            token = f"ya29.{uuid.uuid4().hex}"
            self.grants.append(grant)
            self._tokens[token] = time.time() + (lifetime_s or self.lifetime_s)
            return token

    def service_account(self) -> dict[str, str]:
        """The file of a new service account, which signs its own tokens.

        https://developers.google.com/identity/protocols/oauth2/service-account#jwt-auth
        """
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = f"{uuid.uuid4().hex}@test.iam.gserviceaccount.com"
        self._keys[name] = key.public_key()
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        return {
            "type": "service_account",
            "client_email": name,
            "private_key_id": "1",
            "private_key": key.private_bytes(serialization.Encoding.PEM, *form).decode(),
            "token_uri": f"{self.url}{TOKEN_PATH}",
        }

    def make_bucket(self, name: str = "") -> str:
        """The name of a new bucket."""
        name = name or f"bucket-{uuid.uuid4()}"
        self._buckets[name] = {}
        return name

    def object(self, bucket: str, key: str) -> Stored | None:
        """The object, None without one."""
        return self._buckets[bucket].get(key)

    def read(self, bucket: str, key: str) -> bytes | None:
        """Its bytes, None without one."""
        found = self.object(bucket, key)
        return None if found is None else found.data

    def headers(self, bucket: str, key: str) -> dict[str, str]:
        """What is stored beside the bytes: content-type, content-encoding, metadata by its name."""
        found = self.object(bucket, key)
        assert found is not None
        return {name.removeprefix("x-goog-meta-"): v for name, v in found.headers.items()}

    def keys(self, bucket: str) -> set[str]:
        """All of a bucket."""
        return set(self._buckets[bucket])

    def unfinished(self, bucket: str) -> list[str]:
        """Keys of uploads in parts that were neither completed nor aborted."""
        return [begun.key for begun in self.uploads.values() if begun.bucket == bucket]

    def put(self, bucket: str, key: str, data: bytes, headers: Mapping[str, str] = {}) -> Stored:
        """Store an object. Raises Refused."""
        with self._lock:
            objects, old = self._of(bucket), self._of(bucket).get(key)
            wanted = headers.get("x-goog-if-generation-match")
            if wanted is not None and int(wanted) != (old.generation if old else 0):
                raise Refused(412, "PreconditionFailed")
            said = {n: v for n, v in headers.items() if n in _KEPT or n.startswith("x-goog-meta-")}
            if sum(len(n) + len(v) for n, v in said.items() if "meta" in n) > _MOST_METADATA:
                raise Refused(400, "MetadataTooLarge")
            if said.get("x-goog-storage-class", "STANDARD") not in _CLASSES:
                raise Refused(400, "InvalidStorageClass")
            self._generation += 1
            etag = f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
            made = objects[key] = Stored(data, said, etag, self._generation)
            return made

    def damage(self, bucket: str, key: str, data: bytes) -> None:
        """Change the bytes of an object, and nothing that is stored beside them."""
        self.put(bucket, key, data, self.fetch(bucket, key).headers)

    def _of(self, bucket: str) -> dict[str, Stored]:
        if bucket not in self._buckets:
            raise Refused(404, "NoSuchBucket")
        return self._buckets[bucket]

    def allow(self, authorization: str, permission: str) -> None:
        """Raise Refused unless the bearer of this token has this permission."""
        token = authorization.removeprefix("Bearer").strip()
        until = self._signed_until(token) if "." in token[6:] else self._tokens.get(token, 0)
        if token and until < time.time():
            raise Refused(401, "AuthenticationRequired")
        who = "scraper@test" if token else "Anonymous caller"
        if not token or permission in self.denied:
            raise Refused(403, "AccessDenied", f"{who} does not have {permission} access.")

    def _signed_until(self, token: str) -> float:
        """Until when a token is good that a service account has signed itself."""
        signed, _, signature = token.rpartition(".")
        said = json.loads(_decoded(signed.partition(".")[2]))
        try:
            key = self._keys[said["iss"]]
            key.verify(_decoded(signature), signed.encode(), PKCS1v15(), hashes.SHA256())
        except (KeyError, InvalidSignature):
            return 0
        return float(said["exp"])

    def fetch(self, bucket: str, key: str) -> Stored:
        """The object. Raises Refused."""
        found = self._of(bucket).get(key)
        if found is None:
            raise Refused(404, "NoSuchKey")
        return found

    def delete(self, bucket: str, key: str) -> None:
        """Delete it. Raises Refused."""
        with self._lock:
            self.fetch(bucket, key)
            del self._buckets[bucket][key]

    def page(self, bucket: str, asked: Mapping[str, str]) -> str:
        """A page of a list. Raises Refused."""
        with self._lock:
            objects = dict(self._of(bucket))
        after = asked.get("continuation-token", asked.get("start-after", ""))
        prefix, most = asked.get("prefix", ""), int(asked.get("max-keys", "1000"))
        names = {_up_to(asked.get("delimiter", ""), key, prefix) for key in objects}
        names = {name for name in names if name.startswith(prefix) and name > after}
        told = sorted(names, key=str.encode)[:most]
        said = "".join(_listed(name, objects.get(name)) for name in told)
        said += f"<IsTruncated>{str(len(names) > most).lower()}</IsTruncated>"
        if len(names) > most:
            said += f"<NextContinuationToken>{escape(told[-1])}</NextContinuationToken>"
        return f"<ListBucketResult><Name>{bucket}</Name>{said}</ListBucketResult>"

    def complete(self, upload: str, said: str) -> Stored:
        """Make one object of the parts that `said` names. Raises Refused."""
        begun = self.uploads.get(upload)
        if begun is None:
            raise Refused(404, "NoSuchUpload")
        numbers = [int(number) for number in re.findall(r"<PartNumber>(\d+)</PartNumber>", said)]
        parts = [begun.parts[number] for number in numbers]
        if any(len(part) < _LEAST_PART for part in parts[:-1]):
            raise Refused(400, "EntityTooSmall")
        with self._lock:
            made = self.put(begun.bucket, begun.key, b"".join(parts), begun.headers)
            del self.uploads[upload]
        return made


def _up_to(delimiter: str, key: str, prefix: str) -> str:
    """What a list tells of `key`: the folder below `prefix` that it is in, or the key itself."""
    folder, found, _ = key.removeprefix(prefix).partition(delimiter or "\0")
    return f"{prefix}{folder}{found}" if found and key.startswith(prefix) else key


def _listed(name: str, found: Stored | None) -> str:
    if found is None:
        return f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>"
    return (
        f"<Contents><Key>{escape(name)}</Key><Generation>{found.generation}</Generation>"
        f"<LastModified>{_rfc3339(found.put_at)}</LastModified>"
        f"<ETag>{escape(found.etag)}</ETag><Size>{len(found.data)}</Size></Contents>"
    )


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _rfc3339(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # an answer is one packet
    server: "_Server"

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(length)
        parts = urlsplit(self.path)
        asked = {n: v[0] for n, v in parse_qs(parts.query, keep_blank_values=True).items()}
        said = {name.lower(): value for name, value in self.headers.items()}
        self.server.gcs.requests.append((self.command, self.path, said))
        bucket, _, key = unquote(parts.path[1:]).partition("/")
        try:
            if parts.path in {TOKEN_PATH, METADATA_PATH}:
                self._token(parse_qs(body.decode()))
            else:
                self._object(bucket, key, asked, said, body)
        except Refused as refused:
            text = (
                f"<?xml version='1.0' encoding='UTF-8'?><Error><Code>{refused.code}</Code>"
                f"<Message>As the server of the tests says.</Message>"
                f"<Details>{escape(refused.details)}</Details></Error>"
            )
            self._answer(refused.status, text.encode(), {"Content-Type": "application/xml"})

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET  # noqa: N815 - http.server's names

    def _token(self, asked: dict[str, list[str]]) -> None:
        gcs, grant = self.server.gcs, asked.get("grant_type", ["metadata server"])[0]
        if grant == "metadata server" and self.headers.get("metadata-flavor") != "Google":
            raise Refused(403, "Forbidden")
        token = {"access_token": gcs.issue(grant), "expires_in": gcs.lifetime_s}
        said = json.dumps({**token, "token_type": "Bearer"}).encode()
        self._answer(200, said, {"Content-Type": "application/json"})

    def _object(
        self, bucket: str, key: str, asked: dict[str, str], said: dict[str, str], body: bytes
    ) -> None:
        gcs, authorization = self.server.gcs, said.get("authorization", "")
        verb = {"PUT": "create", "POST": "create", "DELETE": "delete"}.get(self.command, "get")
        gcs.allow(authorization, f"storage.objects.{verb if key else 'list'}")
        match self.command, "uploadId" in asked:
            case "GET" | "HEAD", _ if not key:
                self._answer(200, gcs.page(bucket, asked).encode(), {})
            case "GET" | "HEAD", _:
                found = gcs.fetch(bucket, key)
                modified = {"Last-Modified": formatdate(found.put_at, usegmt=True)}
                self._answer(200, found.data, {**found.headers, **_names(found), **modified})
            case "PUT", True:
                gcs.uploads[asked["uploadId"]].parts[int(asked["partNumber"])] = body
                etag = hashlib.md5(body, usedforsecurity=False).hexdigest()
                self._answer(200, b"", {"ETag": f'"{etag}"'})
            case "POST", True:
                made = gcs.complete(asked["uploadId"], body.decode())
                etag = f"<ETag>{escape(made.etag)}</ETag>"
                text = f"<CompleteMultipartUploadResult>{etag}</CompleteMultipartUploadResult>"
                self._answer(200, text.encode(), _names(made))
            case "POST", False:
                upload = uuid.uuid4().hex
                gcs.uploads[upload] = Begun(bucket, key, said, {})
                text = f"<UploadId>{upload}</UploadId>"
                text = f"<InitiateMultipartUploadResult>{text}</InitiateMultipartUploadResult>"
                self._answer(200, text.encode(), {})
            case "DELETE", True:
                if gcs.uploads.pop(asked["uploadId"], None) is None:
                    raise Refused(404, "NoSuchUpload")
                self._answer(204, b"", {})
            case "DELETE", False:
                gcs.delete(bucket, key)
                self._answer(204, b"", {})
            case _:
                self._answer(200, b"", _names(gcs.put(bucket, key, body, said)))

    def _answer(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


def _names(found: Stored) -> dict[str, str]:
    return {"ETag": found.etag, "x-goog-generation": str(found.generation)}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.gcs = Gcs(f"http://127.0.0.1:{self.server_address[1]}")


@contextmanager
def gcs() -> Iterator[Gcs]:
    """The server, with buckets of its own."""
    with _Server() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.gcs
        finally:
            server.shutdown()
            thread.join()
