"""What the errors of S3 mean for the object, for the run, and for the person who reads them.

boto3 tells errors apart by classes; of libcurl there is the answer itself, or a reason why there is
none. Both become an S3Error here, so that no other module knows which client met the error.

This module owns the error codes of S3 and compatible stores: which would meet every object,
which may pass, which permission is missing, and one line of plain words for each. It does not know
what was being done.

Rejected: going by the status alone. A 400 may be an expired token, a body that was damaged on
the way, or a key that is too long.
"""

import re
import time
from collections.abc import Mapping
from concurrent.futures import CancelledError
from html import unescape
from http.client import responses
from json import JSONDecodeError
from typing import Any
from urllib.parse import urlsplit

from scraper.model.dates import parse_http_date, rfc3339
from scraper.model.urls import redact
from scraper.schedule import retry_after
from scraper.sinks.objects.errors import StoreError, unspoolable
from scraper.sinks.put_request import Answer, NoAnswer, Trouble
from scraper.sinks.s3.unreachable import proxy_of, why

CONNECT_TIMEOUT_S = 10
FIRST_ERROR = 300
_AN_ERROR = rb"\s*(?:<\?xml[^>]*>)?\s*<Error[\s>]"
READ_TIMEOUT_S = 60

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_ELSEWHERE = {
    "PermanentRedirect",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}
_FATAL = _ELSEWHERE | {
    "AccessDenied",
    "AccountProblem",
    "AllAccessDisabled",
    "ExpiredToken",
    "InvalidAccessKeyId",
    "InvalidSecurity",
    "InvalidToken",
    "NoSuchBucket",
    "NotSignedUp",
    "QuotaExceeded",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
    "XMinioStorageFull",
}
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
_PERMISSIONS = {
    "HeadObject": "s3:GetObject",
    "ListObjectsV2": "s3:ListBucket",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
}
_DENIALS = {"AccessDenied", "Forbidden", "403"}  # the last: an answer without a body, as to HEAD
_PERFORM = re.compile(r"not authorized to perform: ([\w-]+:\w+)")  # of Amazon's message
UNSENDABLE = "Unsendable"  # ours: credentials that no header may have
_NO_CREDENTIALS = "NoCredentials"  # ours: boto3 found none, and asked nobody
_HOW_TO_SIGN = (
    "credentials are those of the aws command: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
    "or --s3-profile NAME"
)
_ARCHIVED = "InvalidObjectState"  # of one object, though it is a 403
_PASSING = {
    "BadDigest",  # damaged on the way
    "IncompleteBody",
    "InternalError",
    "NoSuchUpload",  # somebody swept unfinished uploads
    "OperationAborted",
    "RequestLimitExceeded",
    "RequestTimeout",
    "ServiceUnavailable",
    "SlowDown",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "XAmzContentSHA256Mismatch",
}
_REDIRECTS = {301, 302, 303, 307, 308}


class S3Error(StoreError):
    """A request to S3 that failed."""


def answered(
    status: int,
    code: str,
    message: str,
    headers: Mapping[str, str] | None = None,
    operation: str = "PutObject",
) -> S3Error:
    """The error for an answer of S3.

    `headers` are those of the answer, their names in small letters. `operation` is the name that
    S3's reference gives to what was asked.
    """
    headers = headers or {}
    if code == "RequestTimeTooSkewed":
        message = _clocks(headers.get("date"), time.time()) or message
    error = _answered(status, code or str(status), message, headers.get("x-amz-bucket-region"))
    if "retry-after" in headers:
        error.retry_after_s = retry_after([headers["retry-after"]], headers.get("date"))
    if status == 403 and error.code in _DENIALS:
        named = _PERFORM.search(message)
        error.named = named is not None
        error.denied = named[1] if named else _PERMISSIONS.get(operation, f"s3:{operation}")
    return error


def _clocks(date: str | None, now: float) -> str:
    """Both clocks in words; "" if the answer has no date."""
    theirs = parse_http_date(date)
    if theirs is None:
        return ""
    here, there = rfc3339(round(now)), rfc3339(theirs)
    return f"the clock here says {here}, that of the endpoint {there}"


def _answered(status: int, code: str, message: str, region: str | None) -> S3Error:
    if code == "NoSuchBucket":
        reason = "there is no such bucket"
    elif code in _ELSEWHERE:
        where = region or "another one than was asked"
        reason = f"wrong region: the bucket is in {where} ({code})"
    elif code == _ARCHIVED:
        reason = f"it is archived, and has to be restored before it can be read ({code})"
    elif status == 407:
        return S3Error(
            f"the proxy refuses: {status} {responses[status]}", fatal=True, status=status
        )
    else:
        reason = f"{code}: {message}"
    fatal = (status in {401, 403, 507} and code != _ARCHIVED) or code in _FATAL
    passing = status in {408, 429} or (status >= 500 and status != 501) or code in _PASSING
    return S3Error(reason, fatal=fatal, transient=passing, status=status, code=code)


def redirected(status: int, headers: Mapping[str, str]) -> S3Error | None:
    """The error for an endpoint that redirects (from http to https, say). None: it does not.

    `headers` have names in lower case. A bucket in another region is no such endpoint.
    """
    if not _leads_nowhere(status, headers):
        return None
    to = headers.get("location")
    if to is None:  # of these botocore knows that a bucket is elsewhere
        return None if status in {301, 302, 307} else _redirected(status, headers)
    is_amazon = _host_of(to).endswith((".amazonaws.com", ".amazonaws.com.cn"))
    return None if is_amazon else _redirected(status, headers)


def _host_of(url: str) -> str:
    """Its host; "" for one that has none, as `/login`."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def lost(status: int, headers: Mapping[str, str]) -> S3Error | None:
    """The error for a redirect where it was asked in which region the bucket is. None: it is told.

    botocore asks so after a redirect, and would ask once more after this one, and so on.
    """
    return _redirected(status, headers) if _leads_nowhere(status, headers) else None


def _leads_nowhere(status: int, headers: Mapping[str, str]) -> bool:
    return status in _REDIRECTS and not headers.get("x-amz-bucket-region")


def _redirected(status: int, headers: Mapping[str, str]) -> S3Error:
    if to := headers.get("location"):
        text = f"the endpoint redirects to {redact(to)}, and S3 is not asked there by itself"
    else:
        text = f"the endpoint redirects ({status}), and does not say where to"
    return S3Error(text, fatal=True, status=status)


def hint(error: StoreError, bucket: str) -> str:
    """The way out for the person at the command line, "" if there is none that is certain."""
    if error.code == "NoSuchBucket":
        return f"to make it: aws s3 mb s3://{bucket}"
    return _HOW_TO_SIGN if error.code == _NO_CREDENTIALS else ""


def may_be_libcurls(error: S3Error) -> bool:
    """Whether boto3 may succeed where libcurl met `error` at its first request.

    boto3 asks in another region when it is told so, and connects and signs in its own way. But an
    endpoint that redirects is told of at once. Where libcurl has waited in vain, another wait would
    be as vain. An answer that may pass is no reason for a slower client. Credentials that no header
    may have are none for boto3 either.
    """
    redirects = error.status != 0 and not error.code
    passes = error.status != 0 and error.transient
    return not error.late and not redirects and not passes and error.code != UNSENDABLE


def _late_connection(endpoint: str) -> S3Error:
    return _late(f"no connection to {endpoint} within {CONNECT_TIMEOUT_S} s")


def _late_answer(endpoint: str, after_s: float) -> S3Error:
    return _late(f"no answer from {endpoint} within {after_s:g} s")


def _late(text: str) -> S3Error:
    error = S3Error(text, transient=True)
    error.late = True
    return error


def _unreachable(endpoint: str, why: object) -> S3Error:
    return S3Error(f"can't connect to {endpoint}: {why}", transient=True)


def _broken(endpoint: str, what: str) -> S3Error:
    return S3Error(f"the connection to {endpoint} broke ({what})", transient=True)


# ---------------------------------------------------------------- boto3


def foreign() -> tuple[type[BaseException], ...]:
    """What boto3 raises. OSError is about the spool, ValueError about the endpoint's URL."""
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError, OSError, ValueError, RuntimeError, CancelledError)


def from_boto3(error: BaseException, endpoint: str) -> S3Error:
    """The error for one of the exceptions of `foreign()`."""
    from botocore import exceptions as boto

    match error:
        case boto.ClientError():
            meant = _from_response(error.response, error.operation_name)
        case boto.ConnectTimeoutError():
            meant = _late_connection(endpoint)
        case boto.ReadTimeoutError():
            meant = _late_answer(endpoint, READ_TIMEOUT_S)
        case boto.ProxyConnectionError():
            meant = _unreachable(*proxy_of(error))
        case boto.EndpointConnectionError() | boto.SSLError():
            meant = _unreachable(endpoint, why(error))
        case boto.ConnectionError() | boto.HTTPClientError() | boto.IncompleteReadError():
            meant = _broken(endpoint, type(error).__name__)
        case OSError():
            meant = _of_file(error)
        case JSONDecodeError():  # of the profile that another one has as its source
            meant = S3Error("the program that gives credentials printed no JSON", fatal=True)
        case _:
            meant = S3Error(str(error), fatal=_is_of_credentials(error), code=_code_of(error))
    return meant


def _of_file(error: OSError) -> S3Error:
    found = unspoolable(error)
    return S3Error(str(found), transient=found.transient)


def _from_response(response: Any, operation: str) -> S3Error:
    said = response.get("Error", {})
    head = response.get("ResponseMetadata", {})
    headers = head.get("HTTPHeaders", {})
    if "Region" in said:
        headers = {**headers, "x-amz-bucket-region": said["Region"]}
    return answered(
        int(head.get("HTTPStatusCode", 0)),
        said.get("Code") or "",
        said.get("Message") or "",
        headers,
        operation,
    )


def _code_of(error: BaseException) -> str:
    from botocore.exceptions import NoCredentialsError

    return _NO_CREDENTIALS if isinstance(error, NoCredentialsError) else ""


def _is_of_credentials(error: BaseException) -> bool:
    from botocore import exceptions as boto

    return isinstance(
        error,
        boto.NoCredentialsError
        | boto.PartialCredentialsError
        | boto.CredentialRetrievalError
        | boto.SSOError
        | boto.TokenRetrievalError,
    )


# ---------------------------------------------------------------- libcurl


def failure(end: Answer | NoAnswer, endpoint: str, operation: str = "PutObject") -> S3Error | None:
    """Why a request failed. None: it succeeded.

    A store that began to answer with 200 before it failed sends an error as the body of that.
    https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html (special errors)
    """
    if isinstance(end, NoAnswer):
        return _from_no_answer(end, endpoint)
    if end.status >= FIRST_ERROR:
        return _from_answer(end.status, end.headers(), end.content, operation)
    if operation != "GetObject" and is_error(end.content):
        return _from_xml(500, end.content.decode(errors="replace"), end.headers(), operation)
    return None


def is_error(content: bytes) -> bool:
    """Whether the body of an answer is an error of S3."""
    return re.match(_AN_ERROR, content) is not None


def refuse_unsendable(access_key: str, token: str | None) -> None:
    """Raise S3Error for credentials that no header may have."""
    for what, sent in (("access key", access_key), ("session token", token or "")):
        if not (sent.isascii() and sent.isprintable()):
            text = f"the {what} has a line break or another character that no header may have"
            raise S3Error(text, fatal=True, code=UNSENDABLE)


def no_etag(endpoint: str, *, fatal: bool) -> S3Error:
    """The error for a put that was answered with success, but not as S3 does."""
    text = f"{endpoint} answers without ETag: it is no S3"
    return S3Error(text, fatal=fatal, transient=not fatal)


def no_list(endpoint: str, why: object) -> S3Error:
    """The error for an answer that is no page of a list, or does not say where the next begins."""
    return S3Error(f"{endpoint} answers no list of objects ({why})", fatal=True)


def _from_answer(
    status: int, headers: Mapping[str, str], content: bytes, operation: str
) -> S3Error:
    """The error for an answer that is none of success. See `answered`."""
    elsewhere = redirected(status, headers)
    if elsewhere is not None:
        return elsewhere
    if status == 301:
        return answered(status, "PermanentRedirect", "", headers)
    return _from_xml(status, content.decode(errors="replace"), headers, operation)


def _from_no_answer(end: NoAnswer, endpoint: str) -> S3Error:
    """The error for a request without an answer."""
    match end.trouble:
        case Trouble.NO_CONNECTION_IN_TIME:
            return _late_connection(endpoint)
        case Trouble.NO_CONNECTION:
            return _unreachable(endpoint, end.why)
        case Trouble.NO_ANSWER_IN_TIME:
            return _late_answer(endpoint, READ_TIMEOUT_S)
        case Trouble.BROKEN:
            return _broken(endpoint, end.why)


def _from_xml(status: int, body: str, headers: Mapping[str, str], operation: str) -> S3Error:
    def tag(name: str) -> str:
        found = re.search(f"<{name}>([^<]*)</{name}>", body)
        return unescape(found[1]) if found else ""

    message = tag("Message") or responses.get(status, "")
    region = tag("Region")
    told = {**headers, "x-amz-bucket-region": region} if region else headers
    return answered(status, tag("Code"), message, told, operation)
