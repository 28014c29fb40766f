"""In what Google Cloud Storage and Azure Blob Storage differ, as far as a sink sees it.

Owns: these facts, as data. Does not know: requests, how credentials are found (`access.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of store.

    `noun` is what it calls a bucket. `by_version`: which state an object has is told by its
    generation, else by its ETag. `etag_is_md5`: the ETag of an object that was put in one request
    is the MD5 of its bytes. `permissions`: what a request needs, by what is done. `make`: a command
    that makes a bucket, with `{}` for its name. `sign_in`: how credentials are found.
    """

    scheme: str
    noun: str
    by_version: bool
    etag_is_md5: bool
    permissions: Mapping[str, str]
    make: str
    sign_in: str


GS = Kind(
    scheme="gs",
    noun="bucket",
    by_version=True,
    # https://cloud.google.com/storage/docs/hashes-etags#etags
    etag_is_md5=True,
    permissions={
        "put": "storage.objects.create",
        "get": "storage.objects.get",
        "list": "storage.objects.list",
        "delete": "storage.objects.delete",
    },
    make="gcloud storage buckets create gs://{}",
    sign_in=(
        "credentials are Google's application default: `gcloud auth application-default login`, "
        "GOOGLE_APPLICATION_CREDENTIALS, or the machine's own service account"
    ),
)
AZ = Kind(
    scheme="az",
    noun="container",
    by_version=False,
    etag_is_md5=False,
    # https://learn.microsoft.com/en-us/rest/api/storageservices/create-service-sas
    permissions={"put": "write", "get": "read", "list": "list", "delete": "delete"},
    make="az storage container create --name {}",
    sign_in=(
        "AZURE_STORAGE_ACCOUNT names the account; credentials are AZURE_STORAGE_KEY, "
        "AZURE_STORAGE_SAS_TOKEN, AZURE_STORAGE_CONNECTION_STRING, AZURE_CLIENT_ID with its "
        "secret, `az login`, or the machine's managed identity"
    ),
)
KINDS: Mapping[str, Kind] = {kind.scheme: kind for kind in (GS, AZ)}
