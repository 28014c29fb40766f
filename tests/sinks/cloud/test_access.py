"""Credentials of gs:// and az:// are those of the clouds' own tools; what expires is renewed."""

import base64
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from scraper.model.errors import DestinationError
from scraper.sinks.base import SinkOptions
from scraper.sinks.cloud.sink import open_sink
from scraper.testing import store
from tests.azurite import ACCOUNT, KEY, Azurite, azurite, azurite_works
from tests.gcs import METADATA_PATH, TOKEN_PATH, Gcs

Give = Callable[..., None]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, and where credentials would be found."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Give:
    """Sets variables."""

    def give(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return give


def stores(
    server: Gcs | Azurite,
    options: SinkOptions | None = None,
    more: Callable[[], bool] = lambda: False,
) -> None:
    """Store and read with what is there; store again while `more()`."""
    bucket = server.make_bucket()
    sink = open_sink(f"{server.scheme}://{bucket}/p", options or SinkOptions())
    sink.check()
    store(sink, "k", b"x")
    while more():
        store(sink, "k", b"x")
    assert b"".join(sink.read("k")) == b"x"
    assert "k" in set(sink.keys())
    sink.close()
    assert server.read(bucket, "p/k") == b"x"


# ---------------------------------------------------------------- Google


@pytest.mark.parametrize("where", ["variable", "gcloud", "its configuration"])
def test_a_file_of_a_service_account_is_found(
    where: str, gs_server: Gcs, home: Path, given: Give
) -> None:
    path = home / "account.json"
    if where == "gcloud":
        path = home / ".config/gcloud/application_default_credentials.json"
    elif where == "its configuration":
        path = home / "elsewhere/application_default_credentials.json"
        given(CLOUDSDK_CONFIG=str(path.parent))
    else:
        given(GOOGLE_APPLICATION_CREDENTIALS=str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(gs_server.service_account()))
    given(GOOGLE_BASE_URL=gs_server.url)
    stores(gs_server)


def test_tokens_of_the_metadata_server_are_renewed(gs_server: Gcs, given: Give) -> None:
    given(GOOGLE_BASE_URL=gs_server.url, GCE_METADATA_HOST=gs_server.url.removeprefix("http://"))
    gs_server.lifetime_s = 2
    try:
        before = len(gs_server.grants)
        stores(gs_server, more=lambda: len(gs_server.grants) < before + 3)
    finally:
        gs_server.lifetime_s = 3600
    assert gs_server.grants[before:] == ["metadata server"] * len(gs_server.grants[before:])
    assert any(path.startswith(METADATA_PATH) for _, path, _ in gs_server.requests)


def test_a_federated_identity_is_exchanged_by_google_auth(
    gs_server: Gcs, home: Path, given: Give
) -> None:
    (home / "subject").write_text("a token of another provider")
    said = {
        "type": "external_account",
        "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/a/b",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{gs_server.url}{TOKEN_PATH}",
        "credential_source": {"file": str(home / "subject")},
    }
    path = home / "federated.json"
    path.write_text(json.dumps(said))
    given(GOOGLE_BASE_URL=gs_server.url, GOOGLE_APPLICATION_CREDENTIALS=str(path))
    stores(gs_server)
    assert gs_server.grants[-1] == "urn:ietf:params:oauth:grant-type:token-exchange"


def test_an_emulator_is_asked_without_credentials(gs_server: Gcs, given: Give) -> None:
    given(STORAGE_EMULATOR_HOST=gs_server.url)
    before = len(gs_server.requests)
    with pytest.raises(DestinationError, match="Anonymous caller does not have "):
        stores(gs_server)
    asked = [said.get("authorization", "") for *_, said in gs_server.requests[before:]]
    assert {one.strip() for one in asked} == {"Bearer"}, "a token of nobody"


# ---------------------------------------------------------------- Azure


@pytest.mark.parametrize("by", ["key", "its other names", "connection string", "signature"])
def test_keys_and_signatures_are_found_by_each_of_their_names(
    by: str, az_server: Azurite, given: Give
) -> None:
    endpoint = f"{az_server.url}/{ACCOUNT}"
    if by == "key":
        given(**az_server.environment())
    elif by == "its other names":
        given(AZURE_STORAGE_ACCOUNT_NAME=ACCOUNT, AZURE_STORAGE_ACCOUNT_KEY=KEY)
        given(AZURE_STORAGE_ENDPOINT=endpoint)
    elif by == "connection string":
        text = f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};"
        given(AZURE_STORAGE_CONNECTION_STRING=f"{text}BlobEndpoint={endpoint};")
    else:
        text = f"AccountName={ACCOUNT};SharedAccessSignature={az_server.sas('rwdlac')}"
        given(AZURE_STORAGE_CONNECTION_STRING=f"{text};BlobEndpoint={endpoint}")
    stores(az_server)


@pytest.mark.parametrize("name", ["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"])
def test_an_endpoint_may_end_with_a_slash(name: str, az_server: Azurite, given: Give) -> None:
    given(AZURE_STORAGE_ACCOUNT=ACCOUNT, AZURE_STORAGE_KEY=KEY)
    given(**{name: f"{az_server.url}/{ACCOUNT}/\n"})
    stores(az_server)


AZ = """#!/bin/sh
echo "$@" >> {calls}
echo '{said}'
"""


def az_command(directory: Path, issuer: str) -> Path:
    """A program that says what `az account get-access-token` does: a token for another minute.

    Azurite looks at who gave a token, for whom, and until when, but not at who signed it.
    """
    now = int(time.time())
    claims = {"iss": issuer, "aud": "https://storage.azure.com", "nbf": now - 60, "iat": now - 60}
    parts = {"alg": "none"}, {**claims, "exp": now + 600}
    coded = [base64.urlsafe_b64encode(json.dumps(one).encode()).decode() for one in parts]
    until = time.strftime("%Y-%m-%d %H:%M:%S.000000", time.localtime(now + 60))
    token = ".".join([*(one.rstrip("=") for one in coded), "x"])
    said = {"accessToken": token, "expiresOn": until, "expires_on": now + 60}
    said |= {"subscription": "s", "tenant": "t", "tokenType": "Bearer"}
    program = directory / "az"
    program.write_text(AZ.format(calls=directory / "calls", said=json.dumps(said)))
    program.chmod(0o755)
    return directory / "calls"


@pytest.mark.skipif(not azurite_works(), reason="`make stores` installs Azurite from npm")
def test_a_login_of_the_az_command_is_used_and_its_token_renewed(
    tmp_path: Path, given: Give
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    pems = [tmp_path / name for name in ("ca.pem", "server.pem", "server.key")]
    authority.cert_pem.write_to_path(pems[0])
    issued.cert_chain_pems[0].write_to_path(pems[1])
    issued.private_key_pem.write_to_path(pems[2])
    calls = az_command(tmp_path, "https://sts.windows.net/t/")
    (tmp_path / ".azure").mkdir()
    (tmp_path / ".azure/azureProfile.json").write_text("{}")
    tls = ("--oauth", "basic", "--cert", str(pems[1]), "--key", str(pems[2]))
    with azurite(*tls, authority=pems[0]) as server:
        given(AZURE_STORAGE_ACCOUNT=ACCOUNT, AZURE_STORAGE_ENDPOINT=f"{server.url}/{ACCOUNT}")
        given(PATH=f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        options = SinkOptions(cacert=str(pems[0]))
        stores(server, options, more=lambda: calls.read_text().count("\n") < 3)
    assert calls.read_text().startswith("account get-access-token")
