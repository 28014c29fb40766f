"""What the errors of obstore mean for the object, for the run, and for the person who reads them.

obstore has classes for five kinds of errors. All others are one class, whose text has the status
and the answer of the store, or why there was no answer. So the text is read, of which the form is
object_store's. What can't be found in it is taken for a failure that lasts.

Owns: this reading, and the codes of both stores. Does not know: what was being done.
"""

import json
import re
from html import unescape
from urllib.parse import urlsplit

from scraper.model.urls import redact
from scraper.sinks.cloud.kinds import Kind
from scraper.sinks.objects.errors import StoreError, unspoolable

CONNECT_TIMEOUT_S = 10
READ_TIMEOUT_S = 60
NO_CREDENTIALS = "NoCredentials"  # ours: nobody gave any
NO_BUCKET = "NoBucket"  # ours, for both stores
_URL = re.compile(r"Error performing [A-Z]+ (\S+) in ")
_STATUS = re.compile(r"status code: (\d{3})[^:\n]*:? ?(.*)", re.DOTALL)
_OF_MANY = re.compile(r"request failed for key .*: (.*) \(code: (\d{3})\)", re.DOTALL)
_DEBUG = "\n\nDebug source:"
_KIND = re.compile(r"HttpError \{\s*kind: (\w+)")
_REASON = re.compile(r'(?:message|error): "([^"\n]+)"')
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*(\w+)")
_TOKEN = ("token request", "169.254.169.254", "computeMetadata")
_PERMISSION = re.compile(r"\b(storage\.\w+\.\w+)\b")

# https://learn.microsoft.com/en-us/rest/api/storageservices/blob-service-error-codes
# https://cloud.google.com/storage/docs/xml-api/reference-status
_NO_BUCKET = {"ContainerNotFound", "NoSuchBucket", "InvalidBucketName"}
_FATAL = _NO_BUCKET | {
    "AccountIsDisabled",
    "AccountProblem",
    "ContainerBeingDeleted",
    "ContainerDisabled",
    "InvalidResourceName",
    "QuotaExceeded",
    "UserProjectMissing",
}
_ONE_OBJECT = {"ObjectUnderActiveHold", "RetentionPolicyNotMet", "UnauthorizedBlobOverwrite"}
_DENIALS = {"AccessDenied", "AuthorizationPermissionMismatch", "InsufficientAccountPermissions"}
_PASSING = {"BadDigest", "IncompleteBody", "OperationTimedOut", "ServerBusy", "SlowDown"}


def foreign() -> tuple[type[BaseException], ...]:
    """What obstore raises. ValueError is about a path, OSError about what is not there."""
    from obstore.exceptions import BaseError

    return (BaseError, OSError, ValueError)


def meant(error: BaseException, kind: Kind, endpoint: str, doing: str) -> StoreError:
    """The error for one of the exceptions of `foreign()`.

    `doing` is put, get, list or delete.
    """
    text, _, debug = str(error).partition(_DEBUG)
    if isinstance(error, OSError) and error.errno is not None:  # a file of ours
        found = unspoolable(error)
    elif part := _OF_MANY.search(text):
        found = _answered(int(part[2]), f"<Message>{part[1]}</Message>", kind, doing)
    elif answer := _STATUS.search(text):
        status, body = int(answer[1]), answer[2]
        if any(word in text for word in _TOKEN):
            found = _of_credentials(text, status, _said(body))
        else:
            found = _answered(status, body, kind, doing)
    elif broken := _KIND.search(debug):
        found = _unanswered(broken[1], _reason(debug), text, endpoint)
    elif type(error).__name__ == "InvalidPathError":
        path = text.partition("invalid path: ")[2] or text
        found = StoreError(f"obstore reads no such key ({path})", code="InvalidPath")
    else:
        found = StoreError(text.partition(" error: ")[2] or text, fatal=True)
    return found


def is_absent(error: StoreError) -> bool:
    """Whether there is no such object. A bucket that is not there is another matter."""
    return error.status == 404 and error.code not in {NO_BUCKET, *_NO_BUCKET}


def hint(error: StoreError, kind: Kind, bucket: str) -> str:
    """The way out for the person at the command line, "" if there is none that is certain."""
    if error.code == NO_BUCKET:
        return f"to make it: {kind.make.format(bucket)}"
    return kind.sign_in if error.code == NO_CREDENTIALS else ""


def _answered(status: int, body: str, kind: Kind, doing: str) -> StoreError:
    """The error for an answer of the store."""
    code, message = _tag(body, "Code"), _said(body)
    if code in _NO_BUCKET or "specified container does not exist" in message:
        text = f"there is no such {kind.noun}"
        return StoreError(text, fatal=True, status=status, code=NO_BUCKET)
    if not code and status < 400:
        return StoreError(f"the endpoint answers {status} {message}", fatal=True, status=status)
    fatal = code in _FATAL or status == 507
    fatal = fatal or (status in {401, 403} and code not in _ONE_OBJECT)
    passing = status in {408, 429} or (status >= 500 and status != 501) or code in _PASSING
    reason = f"{code or status}: {message}"
    error = StoreError(reason, fatal=fatal, transient=passing and not fatal, status=status)
    error.code = code
    if status == 403 and (code in _DENIALS or not code):
        named = _PERMISSION.search(message)
        error.named = named is not None
        error.denied = named[1] if named else kind.permissions[doing]
    return error


def _unanswered(what: str, reason: str, text: str, endpoint: str) -> StoreError:
    """The error for a request without an answer. `what` is object_store's word for it."""
    asked = _URL.search(text)
    where = (_origin(asked[1]) if asked else "") or endpoint
    if "computeMetadata" in text or "169.254.169.254" in text:
        text = f"no credentials were found, and {where} gives none"
        return StoreError(text, fatal=True, code=NO_CREDENTIALS)
    if what == "Connect":
        return StoreError(f"can't connect to {where}: {reason or 'no answer'}", transient=True)
    if what == "Timeout":
        error = StoreError(f"no answer from {where} in time", transient=True)
        error.late = True
        return error
    return StoreError(f"the connection to {where} broke ({reason or what})", transient=True)


def _reason(debug: str) -> str:
    """Why there was no answer, "" if it is not told."""
    if wrong := _CERTIFICATE.search(debug):
        return f"its certificate is not trusted ({wrong[1]})"
    reasons: list[str] = _REASON.findall(debug)
    return reasons[-1] if reasons else ""


def _of_credentials(text: str, status: int, message: str) -> StoreError:
    """The error for an answer of who gives tokens."""
    asked = _URL.search(text)
    where = (_origin(asked[1]) if asked else "") or "the server of tokens"
    reason = f"{where} gives no token: {status} {message}"
    passing = status >= 500 or status in {408, 429}
    code = "" if passing else NO_CREDENTIALS
    return StoreError(reason, fatal=not passing, transient=passing, status=status, code=code)


def _origin(url: str) -> str:
    """Where a URL leads; "" for one that obstore keeps for itself, since it has a signature."""
    parts = urlsplit(redact(url))
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""


def _said(body: str) -> str:
    """What an answer says in words: of XML its message and its details, of JSON its error."""
    if body.lstrip().startswith("{"):
        try:
            said = json.loads(body)
        except ValueError:
            return body
        return str(said.get("error_description") or said.get("error") or body)
    if "<" not in body:
        return body
    message = _tag(body, "Message").partition("\n")[0]
    details = _tag(body, "Details") or _tag(body, "AuthenticationErrorDetail")
    return f"{message} {details}".strip()


def _tag(body: str, name: str) -> str:
    found = re.search(f"<{name}>([^<]*)</{name}>", body)
    return unescape(found[1]).strip() if found else ""
