"""What boto3 is kept from doing, by its events.

- An endpoint that redirects (from http to https, say) is told of at once. botocore takes a redirect
  for a bucket in another region, and asks for the region; that question is redirected too, and so
  on for 80 requests.
- Bytes that are in memory are sent without `Expect: 100-continue`. It costs a round trip, and a
  second where a server does not answer it.

Owns: these two. Does not know: requests.
"""

from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from scraper.model.urls import redact
from scraper.sinks.s3.errors import S3Error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3 import S3Client

_REDIRECTS = {301, 302, 307, 308}  # at a 303 urllib3 fails, on botocore's headers of bytes
_REGION = "x-amz-bucket-region"  # with it boto3 finds its way


def correct(client: "S3Client") -> "S3Client":
    """`client`, corrected. Its methods raise S3Error too."""
    client.meta.events.register_first("needs-retry.s3", _refuse_redirect)
    client.meta.events.register_last("before-call.s3", _expect_nothing)
    return client


def _refuse_redirect(response: Any = None, **_: Any) -> None:
    if response is None:  # no answer
        return
    head: Mapping[str, str] = response[0].headers
    to = head.get("location")
    if response[0].status_code not in _REDIRECTS or not to or _REGION in head:
        return
    host = urlsplit(to).hostname or ""
    if host.endswith((".amazonaws.com", ".amazonaws.com.cn")):
        return
    text = f"the endpoint redirects to {redact(to)}, and S3 is not asked there by itself"
    raise S3Error(text, fatal=True, status=response[0].status_code)


def _expect_nothing(params: dict[str, Any], **_: Any) -> None:
    if isinstance(params.get("body"), bytes | bytearray | BytesIO):
        params["headers"].pop("Expect", None)
