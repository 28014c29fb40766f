"""Which client puts small objects into a bucket.

Owns: that choice. A cheap client is taken if its put succeeds as boto3's did. Does not know: how a
put is made, and what an error means for the run.
"""

from importlib.util import find_spec
from typing import NamedTuple

from scraper.model.errors import UsageError
from scraper.model.settings import S3
from scraper.sinks.base import SinkOptions
from scraper.sinks.objects.metadata import Facts
from scraper.sinks.objects.service import PROBE
from scraper.sinks.objects.sizes import Sizes
from scraper.sinks.s3 import curl_client
from scraper.sinks.s3.bucket import Bucket, Puts
from scraper.sinks.s3.curl_client import NEED, CurlClient
from scraper.sinks.s3.endpoint import Way
from scraper.sinks.s3.errors import S3Error


class Found(NamedTuple):
    """What was found out about a bucket, for other processes of the run.

    `client`: puts small objects. `url_bytes`: that the store takes of a URL beside an object.
    """

    way: Way
    checksums: bool
    by_libcurl: bool
    client: str
    url_bytes: int


def found_of(bucket: Bucket, way: Way, client: str, url_bytes: int) -> Found:
    """What was found out about `bucket`."""
    return Found(way, bucket.checksums, bucket.by_libcurl, client, url_bytes)


def joined(name: str, options: SinkOptions, sizes: Sizes, found: Found) -> tuple[Bucket, Puts]:
    """The bucket as another process of the run found it, and its client. Raises S3Error."""
    bucket = Bucket(name, options, sizes)
    bucket.join(checksums=found.checksums, by_libcurl=found.by_libcurl)
    return bucket, CurlClient(bucket, found.way, options.s3) if found.client == "curl" else bucket


def check_client(wanted: str) -> None:
    """Raise UsageError if the client that was asked for is not installed."""
    if wanted == "curl" and not _is_there():
        raise UsageError(f"--s3-client curl needs {NEED}")


def choose_client(bucket: Bucket, way: Way, key: str, facts: Facts, s3: S3) -> tuple[Puts, str]:
    """The client, and why it is not the one that is usually taken ("": it is).

    `key` is put with `facts` to try it. Raises S3Error and UsageError for a client that was asked
    for and can't be used.
    """
    if s3.client == "boto3" or (s3.client == "auto" and not _is_there()):
        return bucket, ""
    why = curl_client.unfit(way)
    if why is None:
        try:
            client = CurlClient(bucket, way, s3)
            if not bucket.by_libcurl:  # else the probe was libcurl's
                client.put(key, PROBE, facts)
        except S3Error as error:
            if s3.client == "curl":
                raise
            why = str(error)
        except (ImportError, AttributeError) as error:  # no pycurl, or one too old
            why = f"it needs {NEED} ({error})"
        else:
            return client, ""
    if s3.client == "curl":
        raise UsageError(f"--s3-client curl can't be used here: {why}")
    return bucket, f"not curl: {why}"


def _is_there() -> bool:
    return find_spec("pycurl") is not None
