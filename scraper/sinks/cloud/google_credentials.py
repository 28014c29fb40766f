"""Google's application default credentials, of the kinds that obstore does not read.

A federated identity (of AWS, Azure, a file, a program) is exchanged for a token of Google's, or a
service account is impersonated. google-auth does that; it is no dependency of ours.
https://cloud.google.com/docs/authentication/application-default-credentials

Owns: which class of google-auth a file is for. Rejected: `google.auth.default`, which asks Google
for the project of a federated identity too, over the network, before anything else.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scraper.sinks.cloud.errors import NO_CREDENTIALS
from scraper.sinks.objects.errors import StoreError

READ_BY_OBSTORE = {"service_account", "authorized_user"}
_SCOPES = ["https://www.googleapis.com/auth/devstorage.read_write"]
_OF_AWS = "urn:ietf:params:aws:token-type:aws4_request"


def kind_of(path: Path) -> str:
    """The type of the credentials in this file. Raises StoreError."""
    return str(_read(path)["type"])


def provider_of(path: Path) -> Callable[[], Any]:
    """What gives obstore tokens for them, by google-auth. Raises StoreError."""
    said = _read(path)
    try:
        from obstore.auth.google import GoogleCredentialProvider

        return GoogleCredentialProvider(_class_of(said)(said, scopes=_SCOPES))
    except ImportError:
        text = f"credentials of the type {said['type']!r} need google-auth: pip install google-auth"
    except ValueError as error:  # GoogleAuthError is one where a file is wrong
        text = f"can't use the credentials {str(path)!r}: {error}"
    raise StoreError(text, fatal=True)


def _class_of(said: dict[str, Any]) -> Callable[..., Any]:
    """What makes credentials of such a file. Raises ImportError and ValueError."""
    from google.auth import (
        aws,
        external_account_authorized_user,
        identity_pool,
        impersonated_credentials,
        pluggable,
    )

    found: Callable[..., Any]
    match said["type"]:
        case "external_account" if said.get("subject_token_type") == _OF_AWS:
            found = aws.Credentials.from_info
        case "external_account" if "executable" in said.get("credential_source", {}):
            found = pluggable.Credentials.from_info
        case "external_account":
            found = identity_pool.Credentials.from_info
        case "external_account_authorized_user":
            found = external_account_authorized_user.Credentials.from_info
        case "impersonated_service_account":
            found = impersonated_credentials.Credentials.from_impersonated_service_account_info
        case other:
            raise ValueError(f"their type is {other!r}")
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        said = json.loads(path.read_bytes())
        if isinstance(said, dict) and "type" in said:
            return said
        text = f"{str(path)!r} has no credentials of Google's"
    except OSError as error:
        text = f"can't read the credentials {str(path)!r}: {error.strerror}"
    except ValueError:
        text = f"{str(path)!r} has no credentials of Google's"
    raise StoreError(text, fatal=True, code=NO_CREDENTIALS)
