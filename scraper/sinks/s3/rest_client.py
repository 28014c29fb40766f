"""The requests that every run makes at its start and its end, by libcurl instead of boto3's client.

boto3's client costs as much at its start as a thousand puts. A run needs it for files and uploads
in parts. The lease, the probe, the manifest and lists need five plain requests of S3's REST
interface. They are here, with the names, arguments and answers of boto3's client, so that `Bucket`
asks either of them in the same words. Only what `Bucket` uses is there.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html

Errors are S3Error. Many threads use it.

Owns: these requests, and their idle connections. Does not know: which client is asked when
(`bucket.py`), signatures, options of libcurl.
"""

import base64
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from scraper.model.dates import parse_http_date
from scraper.sinks.curl_call import CurlCall
from scraper.sinks.curl_put import Handles
from scraper.sinks.put_request import Answer, NoAnswer, PutRequest
from scraper.sinks.s3 import errors as s3errors
from scraper.sinks.s3.listing import parse_list
from scraper.sinks.s3.signature import encoded_query
from scraper.sinks.s3.signed_requests import NOTHING, Payload, SignedRequests

_HEADERS = {  # boto3's arguments
    "IfMatch": "if-match",
    "IfNoneMatch": "if-none-match",
    "ChecksumSHA256": "x-amz-checksum-sha256",
    "ContentType": "content-type",
    "ContentEncoding": "content-encoding",
    "StorageClass": "x-amz-storage-class",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
}
_TOLD = {  # of an answer
    "ETag": "etag",
    "StorageClass": "x-amz-storage-class",
    "ServerSideEncryption": "x-amz-server-side-encryption",
    "SSEKMSKeyId": "x-amz-server-side-encryption-aws-kms-key-id",
}
_META = "x-amz-meta-"
_PARAMETERS = {
    "Prefix": "prefix",
    "Delimiter": "delimiter",
    "MaxKeys": "max-keys",
    "ContinuationToken": "continuation-token",
}


class RestClient:
    """See the module. `Bucket` of the arguments is always the one that it was made for."""

    def __init__(self, requests: SignedRequests, holds: Callable[[], bool]) -> None:
        """`holds`: whether objects may be changed. Raises AttributeError if pycurl is too old."""
        self._requests = requests
        self._holds = holds
        self._handles = Handles(CurlCall)
        with self._handles.one():
            pass  # it can be made
        self._some_are_large = False  # then boto3 reads, lest the others be asked for twice

    @property
    def by_socks(self) -> bool:
        """Whether it asks through a SOCKS proxy, which boto3 can't."""
        return (self._requests.route.proxy or "").lower().startswith("socks")

    def put_object(self, **arguments: Any) -> dict[str, Any]:
        """Put an object."""
        headers = {name: str(arguments[key]) for key, name in _HEADERS.items() if key in arguments}
        metadata = arguments.get("Metadata", {})
        headers |= {f"{_META}{name}": value for name, value in metadata.items()}
        told = arguments.get("ChecksumSHA256")
        data: bytes = arguments["Body"]
        digest = base64.b64decode(told).hex() if told else sha256(data).hexdigest()
        return _told(self._ask("PUT", arguments["Key"], headers, Payload(data, digest)))

    def head_object(self, **arguments: Any) -> dict[str, Any]:
        """What is known of an object."""
        headers = self._ask("HEAD", arguments["Key"])
        return _told(headers) | {
            "ContentLength": int(headers.get("content-length", 0)),
            "Metadata": _metadata(headers),
        }

    def delete_object(self, **arguments: Any) -> dict[str, Any]:
        """Delete an object."""
        return _told(self._ask("DELETE", arguments["Key"]))

    def get_object(self, **arguments: Any) -> dict[str, Any]:
        """An object; `Body` is a `StreamingBody`. Empty: it, or one before, is too large here."""
        end = None if self._some_are_large else self._get(arguments["Key"])
        if end is None:
            self._some_are_large = True
            return {}
        headers = end.headers()
        answer = _told(headers) | {
            "ContentLength": len(end.content),
            "Metadata": _metadata(headers),
            "ResponseMetadata": {"HTTPHeaders": headers},
            "Body": StreamingBody(end.content),
        }
        modified = parse_http_date(headers.get("last-modified"))
        if modified is not None:
            answer["LastModified"] = datetime.fromtimestamp(modified, UTC)
        return answer

    def list_objects_v2(self, **arguments: Any) -> dict[str, Any]:
        """One page of a list. Keys come as in a URL: XML has no place for all their characters."""
        said = [
            (name, str(arguments[key])) for key, name in _PARAMETERS.items() if key in arguments
        ]
        query = encoded_query([("list-type", "2"), ("encoding-type", "url"), *said])
        end = self._get(None, query)
        if end is None:
            raise s3errors.S3Error("a page of a list is too long", fatal=True)
        return parse_list(end.content, self._requests.endpoint)

    def close(self) -> None:
        """Close the connections that nobody waits for. The others follow when they are done."""
        self._handles.close()

    def _ask(
        self,
        method: str,
        key: str,
        headers: Mapping[str, str] | None = None,
        payload: Payload = NOTHING,
    ) -> Mapping[str, str]:
        """The headers of an answer of success."""
        request = self._requests.request(method, key, headers or {}, payload)
        if method != "HEAD":
            request = request._replace(may_be_sent=self._holds)
        end, _ = self._answer(method, request)
        return self._checked(end, f"{method.capitalize()}Object").headers()

    def _get(self, key: str | None, query: str = "") -> Answer | None:
        """An answer of success, with its body. None: it is too long."""
        request = self._requests.request("GET", key, {}, query=query)
        end, too_long = self._answer("GET", request)
        return None if too_long else self._checked(end, "ListObjectsV2" if query else "GetObject")

    def _answer(self, method: str, request: PutRequest) -> tuple[Answer | NoAnswer, bool]:
        """The answer, and whether it was broken off since its body is too long."""
        with self._handles.one() as handle:
            return handle.ask(method, request), handle.too_long

    def _checked(self, end: Answer | NoAnswer, operation: str) -> Answer:
        error = s3errors.failure(end, self._requests.endpoint, operation)
        if error is not None:
            raise error
        assert isinstance(end, Answer)
        return end


class StreamingBody:
    """The body of an object, as boto3 gives it."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def iter_chunks(self, chunk_size: int) -> Iterator[bytes]:
        """The body in chunks of this many bytes; the last one may be shorter."""
        for start in range(0, len(self._content), chunk_size):
            yield self._content[start : start + chunk_size]

    def close(self) -> None:
        """Nothing is left to close."""


def _told(headers: Mapping[str, str]) -> dict[str, Any]:
    return {key: headers[name] for key, name in _TOLD.items() if name in headers}


def _metadata(headers: Mapping[str, str]) -> dict[str, str]:
    found = headers.items()
    return {name[len(_META) :]: value for name, value in found if name.startswith(_META)}
