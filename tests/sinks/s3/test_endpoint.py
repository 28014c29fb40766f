"""Where a bucket is asked: what is worked out here is what boto3 asks, or nothing is."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import boto3
import botocore.session
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError
from botocore.loaders import create_loader

from scraper.sinks.s3.endpoint import Way, plain_way, way_of

pytestmark = pytest.mark.usefixtures("aws")
BUCKET, KEY = "some-bucket", "a/.scraper/probe"
HERE = "http://127.0.0.1:9000"
MODELS = create_loader()


class Setting(NamedTuple):
    """What may decide where a bucket is asked."""

    profile: str = ""
    environment: Mapping[str, str] = MappingProxyType({})
    bucket: str = BUCKET
    endpoint: str | None = None
    more: str = ""


def region(name: str) -> dict[str, str]:
    return {"AWS_DEFAULT_REGION": name}


PLAIN = {
    "nothing": Setting(),
    "a region": Setting(environment=region("eu-west-3")),
    "a long region": Setting(environment=region("ap-southeast-2")),
    "a region of the profile": Setting("region = ca-central-1"),
    "an endpoint": Setting(endpoint=HERE),
    "an endpoint with a slash": Setting(endpoint=f"{HERE}/"),
    "an endpoint with a path": Setting(endpoint="https://s3.example.com/store/s3"),
    "an endpoint with a path and a slash": Setting(endpoint="https://s3.example.com/store/"),
    "a host in capitals": Setting(endpoint="https://S3.Example.com:8443"),
    "an endpoint by a name alone": Setting(endpoint="http://minio:9000"),
    "an endpoint and a region": Setting(environment=region("nl-ams"), endpoint=HERE),
    "an endpoint and a region that is none": Setting(environment=region("auto"), endpoint=HERE),
    "an endpoint and another partition": Setting(environment=region("cn-north-1"), endpoint=HERE),
    "an endpoint and a region of Amazon": Setting(environment=region("eu-west-3"), endpoint=HERE),
    "a variable": Setting(environment={"AWS_ENDPOINT_URL": HERE}),
    "a variable for S3": Setting(
        environment={"AWS_ENDPOINT_URL": "http://other", "AWS_ENDPOINT_URL_S3": HERE}
    ),
    "an empty variable": Setting(
        f"endpoint_url = {HERE}", {"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_S3": ""}
    ),
    "a variable that is ignored": Setting(
        environment={"AWS_ENDPOINT_URL": HERE, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    ),
    "a line that is ignored": Setting(
        f"endpoint_url = {HERE}\nignore_configured_endpoint_urls = true"
    ),
    "what is ignored beside an endpoint": Setting(
        endpoint=HERE, environment={"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    ),
    "a line": Setting(f"endpoint_url = {HERE}"),
    "a line and a variable": Setting("endpoint_url = http://other", {"AWS_ENDPOINT_URL_S3": HERE}),
    "services": Setting(
        "services = mine\nendpoint_url = http://other",
        more=f"[services mine]\ns3 =\n  endpoint_url = {HERE}\nsqs =\n  endpoint_url = http://x\n",
    ),
    "services without S3": Setting(
        f"services = mine\nendpoint_url = {HERE}",
        more="[services mine]\nsqs =\n  endpoint_url = http://x\n",
    ),
    "services and a variable": Setting(
        "services = mine",
        {"AWS_ENDPOINT_URL": HERE},
        more="[services mine]\ns3 =\n  endpoint_url = http://x\n",
    ),
    "a path style that is named": Setting("s3 =\n  addressing_style = path", endpoint=HERE),
    "auto": Setting("s3 =\n  addressing_style = auto", endpoint=HERE),
    "auto at Amazon": Setting("s3 =\n  addressing_style = auto"),
    "what does not matter": Setting(
        "s3 =\n  payload_signing_enabled = false\n  max_concurrent_requests = 20"
    ),
    "what others read": Setting("output = json\nmax_attempts = 7\nretry_mode = adaptive"),
    "a session token": Setting(environment={"AWS_SESSION_TOKEN": "t"}),
}
UNUSUAL = {
    "another partition": Setting(environment=region("cn-north-1")),
    "GovCloud": Setting(environment=region("us-gov-west-1")),
    "an isolated region": Setting(environment=region("us-iso-east-1")),
    "the global region": Setting(environment=region("aws-global")),
    "a region of FIPS": Setting(environment=region("fips-us-west-2")),
    "no region": Setting(environment=region("nowhere else")),
    "dual-stack": Setting(environment={"AWS_USE_DUALSTACK_ENDPOINT": "true"}),
    "dual-stack of S3": Setting("s3 =\n  use_dualstack_endpoint = true"),
    "FIPS": Setting(environment={"AWS_USE_FIPS_ENDPOINT": "true"}),
    "accelerated": Setting("s3 =\n  use_accelerate_endpoint = true"),
    "regional": Setting(environment={"AWS_S3_US_EAST_1_REGIONAL_ENDPOINT": "regional"}),
    "a mode of defaults": Setting("defaults_mode = standard"),
    "virtual": Setting("s3 =\n  addressing_style = virtual", endpoint=HERE),
    "path style at Amazon": Setting("s3 =\n  addressing_style = path"),
    "the old signature": Setting("s3 =\n  signature_version = s3"),
    "a name with dots": Setting(bucket="some.bucket"),
    "a name in capitals": Setting(bucket="Some-Bucket", endpoint=HERE),
    "a name with an underscore": Setting(bucket="some_bucket", endpoint=HERE),
    "a directory bucket": Setting(bucket="b--use1-az4--x-s3", environment=region("us-east-1")),
    "an access point": Setting(bucket="arn:aws:s3:us-east-1:123456789012:accesspoint/some"),
    "a multi-region access point": Setting(bucket="arn:aws:s3::123456789012:accesspoint/some.mrap"),
    "an alias": Setting(bucket="some-abcdefghij-s3alias"),
    "an endpoint of Amazon": Setting(endpoint="https://s3.eu-west-1.amazonaws.com"),
    "a private endpoint": Setting(
        endpoint="https://bucket.vpce-1a2b3c4d-5e6f.s3.us-east-1.vpce.amazonaws.com"
    ),
    "a scheme in capitals": Setting(endpoint="HTTPS://s3.example.com"),
    "a path with doubled slashes": Setting(endpoint="https://s3.example.com/a//b"),
    "an endpoint and the global region": Setting(environment=region("aws-global"), endpoint=HERE),
    "userinfo": Setting(endpoint="http://user:secret@127.0.0.1:9000"),
    "an address of IPv6": Setting(endpoint="http://[::1]:9000"),
    "a query": Setting(endpoint=f"{HERE}/?a=b"),
    "no URL": Setting(environment={"AWS_ENDPOINT_URL": "nonsense"}),
    "services that are not there": Setting("services = mine"),
    "an unknown style": Setting("s3 =\n  addressing_style = nonsense"),
}


@pytest.fixture
def session(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Setting:
    """A setting, in force."""
    setting: Setting = request.param
    config = tmp_path / "config"
    config.write_text(f"[default]\n{setting.profile}\n{setting.more}")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in setting.environment.items():
        monkeypatch.setenv(name, value)
    return setting


def asked_by_boto3(setting: Setting) -> Way:
    """Where boto3 asks, without asking."""
    seen: list[Any] = []

    def stop(request: Any, **_: Any) -> None:
        seen.append(request)
        raise LookupError

    core = botocore.session.get_session()
    core.register_component("data_loader", MODELS)  # they are read once
    made = boto3.session.Session(botocore_session=core)
    config = Config(request_checksum_calculation="when_required", retries={"total_max_attempts": 1})
    region_name = made.region_name or "us-east-1"
    s3 = made.client("s3", region_name, endpoint_url=setting.endpoint, config=config)
    s3.meta.events.register("before-send.s3.PutObject", stop)
    with pytest.raises(LookupError):
        s3.put_object(Bucket=setting.bucket, Key=KEY, Body=b"")
    found = way_of(seen[-1].url, seen[-1].headers["Authorization"], KEY)
    return Way(found.url, found.region, s3.meta.endpoint_url)


@pytest.mark.parametrize("session", PLAIN.values(), ids=PLAIN, indirect=True)
def test_a_usual_bucket_is_asked_where_boto3_asks_it(session: Setting) -> None:
    found = plain_way(botocore.session.get_session(), session.bucket, session.endpoint)
    assert found == asked_by_boto3(session)


@pytest.mark.parametrize("session", UNUSUAL.values(), ids=UNUSUAL, indirect=True)
def test_what_is_unusual_is_left_to_boto3(session: Setting) -> None:
    assert plain_way(botocore.session.get_session(), session.bucket, session.endpoint) is None


def test_models_and_plugins_of_boto3_are_boto3s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    core = botocore.session.get_session()
    assert plain_way(core, BUCKET, HERE) is not None
    monkeypatch.setenv("BOTOCORE_EXPERIMENTAL__PLUGINS", "a=b")
    assert plain_way(core, BUCKET, HERE) is None
    monkeypatch.delenv("BOTOCORE_EXPERIMENTAL__PLUGINS")
    (tmp_path / ".aws/models").mkdir(parents=True)
    assert plain_way(core, BUCKET, HERE) is None


def test_a_profile_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(BotoCoreError, match="nobody"):
        plain_way(botocore.session.get_session(), BUCKET, HERE)
