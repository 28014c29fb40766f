"""Where a bucket is asked, worked out from botocore's session, before boto3 has asked anything.

boto3 has rules for that (an endpoint ruleset), which it reads and evaluates with the model of all
of S3. That takes longer than a small run. In the usual cases the outcome is plain: one host for
each region of Amazon, or the endpoint that was named, with the bucket in its path. These cases are
here. Everything else is `None`, and boto3 is asked: other partitions, dual-stack, FIPS, accelerated
and private endpoints, access points, directory buckets, other signatures, addressing styles that
are named, configurations that change what a session is made of.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html

Owns: these cases. Does not know: requests. The tests compare each with what boto3 asks.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

if TYPE_CHECKING:
    from botocore.session import Session

USUAL_REGION = "us-east-1"
# A name without dots, so that Amazon's certificate is valid for it as a part of the host.
_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]{1,61})[a-z0-9]")
_SPECIAL = ("--x-s3", "-s3alias", "--ol-s3", "--op-s3", "--xa-s3")
_REGION = re.compile(r"(?:us|eu|ap|sa|ca|me|af|il|mx)-[a-z]+-\d+")  # partition `aws`, no others
_ANY_REGION = re.compile(r"(?!aws-|fips-|s3-)[a-z0-9-]+(?<!-fips)")  # at an endpoint of others
_SCOPE = re.compile(r"AWS4-HMAC-SHA256 Credential=[^,]+/\d{8}/([^/,]+)/s3/aws4_request,")
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9.-]+(?::\d+)?(?:/[A-Za-z0-9._~/-]*)?")
_OF_AMAZON = re.compile(r"amazonaws|amazon\.com|api\.aws")
_UNUSUAL_OF_S3 = (
    "signature_version",
    "us_east_1_regional_endpoint",
    "use_accelerate_endpoint",
    "use_dualstack_endpoint",
)
_UNUSUAL = (  # variables of a session that are usually not set
    "use_dualstack_endpoint",
    "use_fips_endpoint",
    "sigv4a_signing_region_set",
    "auth_scheme_preference",
    "proxies_config",
    "data_path",
)


@dataclass(frozen=True, slots=True)
class Way:
    """How a bucket is asked.

    The URL of an object is `url`, a slash and its key. Requests are signed for `region`. Both
    are empty if boto3 does not use S3's usual signature. `endpoint` is the URL of the service.
    """

    url: str = ""
    region: str = ""
    endpoint: str = ""


def plain_way(session: "Session", bucket: str, endpoint: str | None) -> Way | None:
    """How boto3 would ask `bucket`. None: only boto3 knows. `endpoint`: of the command line.

    Raises what botocore raises for a configuration that can't be read.
    """
    region = session.get_config_variable("region") or USUAL_REGION
    s3: Mapping[str, Any] = session.get_config_variable("s3") or {}
    if _is_unusual(session, s3) or not _BUCKET.fullmatch(bucket) or bucket.endswith(_SPECIAL):
        return None
    style = s3.get("addressing_style", "auto")
    named = endpoint or _configured_endpoint(session, os.environ)
    if named is None:
        if style != "auto" or not _REGION.fullmatch(region):
            return None
        host = "s3.amazonaws.com" if region == USUAL_REGION else f"s3.{region}.amazonaws.com"
        return Way(f"https://{bucket}.{host}", region, f"https://{host}")
    if style not in {"auto", "path"} or not _ANY_REGION.fullmatch(region):
        return None
    parts = urlsplit(named)
    if not _ENDPOINT.fullmatch(named) or _OF_AMAZON.search(parts.netloc) or "//" in parts.path:
        return None
    return Way(f"{named.rstrip('/')}/{bucket}", region, named)


def _is_unusual(session: "Session", s3: Mapping[str, Any]) -> bool:
    """Whether the session is configured in a way that is not worked out here."""
    services = session.get_scoped_config().get("services")
    return (
        any(s3.get(name) for name in _UNUSUAL_OF_S3)
        or any(session.get_config_variable(name) for name in _UNUSUAL)
        or session.get_config_variable("defaults_mode") != "legacy"
        or (services is not None and services not in session.full_config.get("services", {}))
        or Path("~/.aws/models").expanduser().exists()
        or "BOTOCORE_EXPERIMENTAL__PLUGINS" in os.environ
    )


def _configured_endpoint(session: "Session", environment: Mapping[str, str]) -> str | None:
    """The endpoint for S3 that the environment or the profile names."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    section = services.get("s3", {})
    return (
        environment.get("AWS_ENDPOINT_URL_S3")
        or environment.get("AWS_ENDPOINT_URL")
        or (section.get("endpoint_url") if isinstance(section, Mapping) else None)
        or profile.get("endpoint_url")
    )


def way_of(url: str, authorization: str | bytes, key: str) -> Way:
    """The way that a signed request for `key` took, read from its URL and its signature.

    https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html
    """
    if isinstance(authorization, bytes):
        authorization = authorization.decode()
    scope = _SCOPE.match(authorization)
    end = "/" + quote(key, safe="/~")
    if scope is None or not url.endswith(end):
        return Way()
    return Way(without_userinfo(url.removesuffix(end)), scope[1])


def without_userinfo(url: str) -> str:
    """`url` without user and password. They are secrets, and S3 does not use them."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
