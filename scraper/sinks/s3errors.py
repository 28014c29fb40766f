"""What S3's errors mean: to this object, to the run, to the person who reads it.

Owns: the names S3 and what resembles it give to errors, and which of them would
meet every object, which may pass, and one line of plain words for each. Refuses
to know: what was being done. Rejected: going by status alone; a 400 may be an
expired token, a body damaged on the way, or a key that is too long.
"""

import errno
from concurrent.futures import CancelledError
from typing import Any

CONNECT_TIMEOUT_S = 10
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


def foreign() -> tuple[type[BaseException], ...]:
    """What boto3 raises. OSError: the spool; ValueError: an endpoint that is no URL."""
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError, OSError, ValueError, RuntimeError, CancelledError)


def status(error: BaseException) -> int:
    """The HTTP status of S3's answer; 0 without one."""
    response: Any = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _code(error: BaseException) -> str:
    response: Any = getattr(error, "response", {})
    return str(response.get("Error", {}).get("Code", ""))


def is_fatal(error: BaseException) -> bool:
    """Whether it would meet every other object too."""
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        return status(error) in {401, 403, 507} or _code(error) in _FATAL
    return isinstance(
        error,
        boto.NoCredentialsError
        | boto.PartialCredentialsError
        | boto.CredentialRetrievalError
        | boto.SSOError
        | boto.TokenRetrievalError,
    )


def may_pass(error: BaseException) -> bool:
    """Whether another attempt may do."""
    from botocore import exceptions as boto

    if isinstance(error, boto.ClientError):
        code = status(error)
        return code == 429 or (code >= 500 and code != 501) or _code(error) in _PASSING
    if isinstance(error, boto.ConnectionError | boto.HTTPClientError):
        return True
    return isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}


def reason(error: BaseException, endpoint: str) -> str:
    """One line, without secrets, that says what a person can act on."""
    from botocore import exceptions as boto

    match error:
        case boto.ClientError():
            said = _answer(error)
        case boto.ConnectTimeoutError():
            said = f"no connection to {endpoint} within {CONNECT_TIMEOUT_S} s"
        case boto.ReadTimeoutError():
            said = f"no answer from {endpoint} within {READ_TIMEOUT_S} s"
        case boto.EndpointConnectionError() | boto.SSLError() | boto.ProxyConnectionError():
            said = f"can't connect to {endpoint}: {error.kwargs.get('error', '')}"
        case boto.ConnectionError() | boto.HTTPClientError():
            said = f"the connection to {endpoint} broke ({type(error).__name__})"
        case OSError():
            said = f"can't spool it: {error.strerror or error}"
        case _:
            said = str(error)
    return " ".join(said.split())[:300].rstrip(": ")


def _answer(error: Any) -> str:
    code = _code(error)
    if code == "NoSuchBucket":
        return "there is no such bucket"
    if code in _ELSEWHERE:
        headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
        region = headers.get("x-amz-bucket-region", "another one than was asked")
        return f"wrong region: the bucket is in {region} ({code})"
    return f"{code}: {error.response['Error'].get('Message', '')}"
