"""What boto3 is kept from doing, by its events.

- An endpoint that redirects (from http to https, say) is told of at once. botocore takes a redirect
  for a bucket in another region, and asks for the region; that question is redirected too, and so
  on for 80 requests.
- Bytes that are in memory are sent without `Expect: 100-continue`. It costs a round trip, and a
  second where a server does not answer it.
- A put that is answered with a page and success was not answered by S3. botocore takes a page that
  is no XML for an error 500.

Owns: these three. Does not know: requests.
"""

from collections.abc import Callable, Mapping
from functools import partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

from scraper.sinks.s3.errors import FIRST_ERROR, S3Error, is_error, lost, no_etag, redirected

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_Judge = Callable[[int, Mapping[str, str]], S3Error | None]


def correct(client: "S3Client") -> "S3Client":
    """`client`, corrected. Its methods raise S3Error too."""
    client.meta.events.register_first("needs-retry.s3", partial(_refuse, redirected))
    client.meta.events.register_first("needs-retry.s3.HeadBucket", partial(_refuse, lost))
    client.meta.events.register_last("before-call.s3", _expect_nothing)
    client.meta.events.register_first("needs-retry.s3.PutObject", _refuse_page)
    return client


def _refuse(error_of: _Judge, response: Any = None, **_: Any) -> None:
    if response is None:  # no answer
        return
    error = error_of(response[0].status_code, response[0].headers)
    if error is not None:
        raise error


def _refuse_page(endpoint: Any, response: Any = None, **_: Any) -> None:
    if response is None:
        return
    http, parsed = response
    is_page = http.content and not is_error(http.content)
    if is_page and http.raw.status < FIRST_ERROR and not parsed.get("ETag"):  # http has 500 by now
        raise no_etag(endpoint.host, fatal=False)


def _expect_nothing(params: dict[str, Any], **_: Any) -> None:
    body = params.get("body")
    if isinstance(body, bytes | bytearray | BytesIO) or getattr(body, "in_memory", False):
        params["headers"].pop("Expect", None)
