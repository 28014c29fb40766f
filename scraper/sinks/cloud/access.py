"""How a bucket is reached: endpoint, credentials and certificates, as the clouds' own tools do.

obstore finds most of it by itself: service accounts, `gcloud auth application-default login`, the
metadata server; account keys, SAS, client secrets, workload identity, managed identity. It renews
what expires. Here is what it leaves out: names of variables that only the `az` command knows,
connection strings, `az login` without a variable that asks for it, emulators of GCS, and, by
google-auth, Google's other kinds of credentials (federation, impersonation).
https://learn.microsoft.com/en-us/cli/azure/azure-cli-configuration
https://cloud.google.com/docs/authentication/application-default-credentials

Owns: that. Does not know: requests. Rejected: azure-identity and google-auth for everything. They
are two packages more, and their calls take the interpreter's lock for each request.
"""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from scraper.model.authorities import authorities
from scraper.sinks.base import SinkOptions
from scraper.sinks.cloud.errors import CONNECT_TIMEOUT_S, NO_CREDENTIALS, READ_TIMEOUT_S
from scraper.sinks.cloud.google_credentials import READ_BY_OBSTORE, kind_of, provider_of
from scraper.sinks.cloud.kinds import GS, Kind
from scraper.sinks.objects.errors import StoreError

# obstore skips the signature of requests that read, but a put asks for a token all the same.
_NOBODY = {"disable_oauth": True, "client_email": "", "private_key": "", "private_key_id": ""}
_YES = {"1", "on", "true", "y", "yes"}
_ALWAYS = "24h"  # no limit for a whole request: a large body may take long
_AZURE_CREDENTIALS = (
    "AZURE_CLIENT_SECRET",
    "AZURE_CREDENTIAL_TYPE",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_IDENTITY_ENDPOINT",
    "AZURE_MSI_ENDPOINT",
    "AZURE_SKIP_SIGNATURE",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_MASTER_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_TOKEN",
    "AZURE_STORAGE_USE_EMULATOR",
    "AZURE_USE_AZURE_CLI",
)
# What obstore puts into a URL or a header as it is. It panics where that has a line break.
_SENT = {
    "gs": re.compile("GOOGLE_(BEARER_TOKEN|BASE_URL)|STORAGE_EMULATOR_HOST|GCE_METADATA_.*"),
    "az": re.compile(
        "AZURE_(STORAGE_(?!ENDPOINT).*|CLIENT_(ID|SECRET)|TENANT_ID|AUTHORITY_(ID|HOST)|OBJECT_ID"
        "|MSI_RESOURCE_ID|(MSI|IDENTITY)_ENDPOINT)|(MSI|IDENTITY)_ENDPOINT|IDENTITY_HEADER"
    ),
}
_STRING = "AZURE_STORAGE_CONNECTION_STRING"
_AZURE_ACCOUNTS = ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT")
_AZURE_ENDPOINTS = ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")


class Access(NamedTuple):
    """What obstore is told besides what it finds. `endpoint` is where requests go."""

    endpoint: str
    config: Any
    provider: Callable[[], Any] | None = None


def connect(kind: Kind, bucket: str, options: SinkOptions, attempts: int) -> tuple[Any, str]:
    """Obstore's client for a bucket, and the endpoint. Raises StoreError and what obstore does."""
    from obstore.store import AzureStore, GCSStore

    _refuse_unsendable(os.environ, _SENT[kind.scheme])
    access = (_google if kind is GS else _azure)(os.environ)
    client: Any = {
        "connect_timeout": f"{CONNECT_TIMEOUT_S}s",
        "read_timeout": f"{READ_TIMEOUT_S}s",
        "timeout": _ALWAYS,
        "allow_http": access.endpoint.startswith("http://"),
    }
    if trusted := _authorities(options):
        client["root_certificate"] = trusted
    store = (GCSStore if kind is GS else AzureStore)(
        bucket,
        config=access.config,
        client_options=client,
        retry_config={"max_retries": attempts - 1},
        credential_provider=access.provider,
    )
    return store, access.endpoint


def _azure(environment: Mapping[str, str]) -> Access:
    config = _connection_string(environment.get(_STRING, ""))
    account = config.get("account_name") or _first(environment, _AZURE_ACCOUNTS)
    emulator = environment.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in _YES
    if not account and not emulator:
        raise StoreError("no account is named", fatal=True, code=NO_CREDENTIALS)
    if account:
        config["account_name"] = account
    if key := environment.get("AZURE_STORAGE_KEY"):
        config.setdefault("account_key", key)
    given = {"account_key", "sas_key"} & config.keys() or _first(environment, _AZURE_CREDENTIALS)
    if not given and _is_logged_in(environment):
        config["use_azure_cli"] = True
    usual = f"https://{account}.blob.core.windows.net"
    usual = "http://127.0.0.1:10000/devstoreaccount1" if emulator else usual
    if named := config.get("endpoint") or _first(environment, _AZURE_ENDPOINTS):
        config["endpoint"] = named.strip().rstrip("/")  # obstore would ask for `//container`
    return Access(config.get("endpoint") or usual, config)


def _connection_string(text: str) -> dict[str, Any]:
    """What a connection string says, in obstore's words. Raises StoreError.

    https://learn.microsoft.com/en-us/azure/storage/common/storage-configure-connection-string
    """
    text = text.strip()
    if not text:
        return {}
    said = dict(part.partition("=")[::2] for part in text.split(";") if part)
    if said.get("UseDevelopmentStorage", "").lower() == "true":
        return {"use_emulator": True, "account_name": "devstoreaccount1"}
    endpoint, account = said.get("BlobEndpoint"), said.get("AccountName")
    if endpoint is None and account and "EndpointSuffix" in said:
        scheme = said.get("DefaultEndpointsProtocol", "https")
        endpoint = f"{scheme}://{account}.blob.{said['EndpointSuffix']}"
    account = account or (endpoint or "").partition("://")[2].partition(".")[0]
    if not account:
        text = f"{_STRING} names no account"
        raise StoreError(text, fatal=True, code=NO_CREDENTIALS)
    found = {
        "account_name": account,
        "account_key": said.get("AccountKey"),
        "sas_key": said.get("SharedAccessSignature"),
        "endpoint": endpoint,
    }
    return {name: value for name, value in found.items() if value}


def _is_logged_in(environment: Mapping[str, str]) -> bool:
    """Whether the `az` command is there, and somebody has logged in with it."""
    home = environment.get("AZURE_CONFIG_DIR") or Path.home() / ".azure"
    return shutil.which("az") is not None and (Path(home) / "azureProfile.json").exists()


def _google(environment: Mapping[str, str]) -> Access:
    emulator = environment.get("STORAGE_EMULATOR_HOST", "")
    if emulator:
        base = (emulator if "://" in emulator else f"http://{emulator}").rstrip("/")
        return Access(base, {"service_account_key": json.dumps({**_NOBODY, "gcs_base_url": base})})
    endpoint = environment.get("GOOGLE_BASE_URL", "https://storage.googleapis.com")
    given = environment.get("GOOGLE_APPLICATION_CREDENTIALS")
    home = Path(environment.get("CLOUDSDK_CONFIG") or Path.home() / ".config/gcloud")
    path = Path(given) if given else home / "application_default_credentials.json"
    if environment.get("GOOGLE_SKIP_SIGNATURE", "").lower() in _YES:
        return Access(endpoint, {"skip_signature": True})
    if environment.get("GOOGLE_BEARER_TOKEN") or not (given or path.exists()):
        return Access(endpoint, {})
    if kind_of(path) in READ_BY_OBSTORE:
        return Access(endpoint, {"application_credentials": str(path)})
    return Access(endpoint, {}, provider_of(path))


def _authorities(options: SinkOptions) -> bytes:
    """The certificates that the user names for all connections (PEM); b"" for the system's own.

    Raises StoreError.
    """
    named = authorities(options.cacert, os.environ)
    if named is None:
        return b""
    paths = [Path(named.file)] if named.file else []
    try:
        if named.directory:
            paths += [path for path in Path(named.directory).iterdir() if path.is_file()]
        return b"\n".join(path.read_bytes() for path in paths)
    except OSError as error:
        text = f"can't read the certificates of {named.named_by}: {error.strerror}"
        raise StoreError(text, fatal=True) from None


def _refuse_unsendable(environment: Mapping[str, str], sent: re.Pattern[str]) -> None:
    """Raise StoreError for a variable with a line break, where one would be sent."""
    for name, value in environment.items():
        told = value.strip() if name == _STRING else value
        if sent.fullmatch(name) and re.search(r"[\x00-\x1f\x7f]", told):
            raise StoreError(f"{name} has a line break or another control character", fatal=True)


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    """The value of the first of these variables that has one."""
    return next((environment[name] for name in names if environment.get(name)), "")
