"""Azurite on loopback: Microsoft's emulator of Azure Blob Storage, from npm.

    with azurite() as server:
        bucket = server.make_bucket()        # a container
        assert server.read(bucket, "key") == b"..."

It keeps everything in memory, checks signatures, judges conditions in one step, and knows the
limits of names and metadata. It does not enforce roles or quotas. `make stores` installs it;
AZURITE names another directory that npm installed into. What is looked at here is looked at by
requests of our own, signed as Microsoft's reference says, not by the client under test:
https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key
"""

import base64
import hashlib
import hmac
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import parse_qsl, quote, urlencode
from xml.etree import ElementTree as ET

import requests

from tests.emulators import said

HOME = Path(os.environ.get("AZURITE", Path(__file__).parent.parent / "build/npm"))
PROGRAM = HOME / "node_modules/azurite/dist/src/blob/main.js"
ACCOUNT = "devstoreaccount1"  # Azurite's own, as its documentation says
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_VERSION = "2021-08-06"
_PAGE = "5000"


def azurite_works() -> bool:
    """Whether npm has installed it."""
    return PROGRAM.exists() and shutil.which("node") is not None


class Azurite:
    """The server, and a client of its own that looks at what is there."""

    scheme = "az"

    def __init__(self, url: str, authority: Path | None = None) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(authority) if authority else True

    def words(self, endpoint: str = "") -> list[str]:
        """No options: all is in variables."""
        del endpoint
        return []

    def environment(self, endpoint: str = "") -> dict[str, str]:
        """Variables of a program that stores here, or by way of `endpoint`."""
        return {
            "AZURE_STORAGE_ACCOUNT": ACCOUNT,
            "AZURE_STORAGE_KEY": KEY,
            "AZURE_STORAGE_ENDPOINT": f"{endpoint or self.url}/{ACCOUNT}",
        }

    @property
    def credentials(self) -> dict[str, str]:
        """Its variables."""
        return self.environment()

    def sas(self, permissions: str, lifetime_s: float = 3600) -> str:
        """A shared access signature of the account with these permissions (r, w, d, l, a, c).

        https://learn.microsoft.com/en-us/rest/api/storageservices/create-account-sas
        """
        until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + lifetime_s))
        fields = [ACCOUNT, permissions, "b", "sco", "", until, "", "http,https", "2018-11-09", ""]
        signed = hmac.new(base64.b64decode(KEY), "\n".join(fields).encode(), hashlib.sha256)
        names = {"sp": permissions, "ss": "b", "srt": "sco", "se": until, "spr": "http,https"}
        signature = base64.b64encode(signed.digest()).decode()
        return urlencode({**names, "sv": "2018-11-09", "sig": signature})

    def make_bucket(self) -> str:
        """The name of a new container."""
        name = f"container-{uuid.uuid4()}"
        self.ask("PUT", name, query={"restype": "container"})
        return name

    def remove_bucket(self, name: str) -> None:
        """Delete a container."""
        self.ask("DELETE", name, query={"restype": "container"})

    def put(
        self, bucket: str, key: str, data: bytes, headers: Mapping[str, str] | None = None
    ) -> None:
        """Put a blob as another program would."""
        more = {"x-ms-blob-type": "BlockBlob", **(headers or {})}
        self.ask("PUT", f"{bucket}/{quote(key)}", headers=more, data=data)

    def damage(self, bucket: str, key: str, data: bytes) -> None:
        """Change the bytes of a blob, and nothing that is stored beside them."""
        told = self.headers(bucket, key)
        kept = {name if "-" in name else f"x-ms-meta-{name}": v for name, v in told.items()}
        self.put(bucket, key, data, kept)

    def delete(self, bucket: str, key: str) -> None:
        """Delete a blob."""
        self.ask("DELETE", f"{bucket}/{quote(key)}")

    def read(self, bucket: str, key: str) -> bytes | None:
        """The blob's bytes as they are stored, None without one."""
        found = self.ask("GET", f"{bucket}/{quote(key)}", absent=True, stream=True)
        return None if found is None else found.raw.read()

    def headers(self, bucket: str, key: str) -> dict[str, str]:
        """What is stored beside the bytes: content-type, content-encoding, metadata by its name."""
        found = self.ask("HEAD", f"{bucket}/{quote(key)}")
        assert found is not None
        names = {"content-type", "content-encoding"}
        told = {name.lower(): value for name, value in found.headers.items()}
        kept = {n: v for n, v in told.items() if n in names or n.startswith("x-ms-meta-")}
        return {name.removeprefix("x-ms-meta-"): value for name, value in kept.items()}

    def keys(self, bucket: str) -> set[str]:
        """All of a container."""
        return set(self._list(bucket, {}))

    def unfinished(self, bucket: str) -> list[str]:
        """Blobs that have only blocks which nobody will ever see."""
        return sorted({*self._list(bucket, {"include": "uncommittedblobs"})} - self.keys(bucket))

    def _list(self, bucket: str, query: Mapping[str, str]) -> Iterator[str]:
        asked = {"restype": "container", "comp": "list", "maxresults": _PAGE, **query}
        while True:
            found = self.ask("GET", bucket, query=asked)
            assert found is not None
            page = ET.fromstring(found.content)
            yield from (name.text or "" for name in page.iterfind("Blobs/Blob/Name"))
            asked["marker"] = page.findtext("NextMarker") or ""
            if not asked["marker"]:
                return

    def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        data: bytes = b"",
        absent: bool = False,
        stream: bool = False,
    ) -> requests.Response | None:
        """A signed request. None: 404, if it may be `absent`. `stream`: the body is not read."""
        query = dict(query or {})
        own = {
            "Connection": "close",
            "x-ms-date": formatdate(usegmt=True),
            "x-ms-version": _VERSION,
            **(headers or {}),
        }
        own["Authorization"] = f"SharedKey {ACCOUNT}:{_signature(method, path, query, own, data)}"
        url = f"{self.url}/{ACCOUNT}/{path}?{urlencode(query)}"
        answer = self._session.request(
            method, url, headers=own, data=data, timeout=30, stream=stream
        )
        if absent and answer.status_code == 404:
            return None
        assert answer.ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer


def _signature(
    method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], data: bytes
) -> str:
    told = {name.lower(): value for name, value in headers.items()}
    length = str(len(data)) if data else ""
    lines = [method, *[""] * 2, length, *[""] * 8]
    lines[5] = told.get("content-type", "")
    lines += [f"{name}:{told[name]}" for name in sorted(told) if name.startswith("x-ms-")]
    lines.append(f"/{ACCOUNT}/{ACCOUNT}/{path}")
    lines += [f"{name}:{value}" for name, value in sorted(parse_qsl(urlencode(query)))]
    signed = hmac.new(base64.b64decode(KEY), "\n".join(lines).encode(), hashlib.sha256)
    return base64.b64encode(signed.digest()).decode()


@contextmanager
def azurite(*options: str, authority: Path | None = None) -> Iterator[Azurite]:
    """The server. `options` are its own; `authority`: who signed for it, where it has TLS."""
    words: Sequence[str] = [
        *("node", str(PROGRAM), "--blobHost", "127.0.0.1", "--blobPort", "0"),
        *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry", "--silent"),
        *("--disableProductStyleUrl", "--blobKeepAliveTimeout", "60", *options),
    ]
    listens = re.compile(r"successfully listens on (https?://127\.0\.0\.1:\d+)")
    with TemporaryDirectory() as home, said(words, {"HOME": home}, Path(home), listens) as found:
        server = Azurite(found[1], authority)
        yield server
        server._session.close()
