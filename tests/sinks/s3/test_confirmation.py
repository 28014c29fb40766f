"""What a run asks for, encryption and a storage class, is confirmed by the endpoint, or refused."""

import pytest

from scraper.model.errors import DestinationError
from scraper.model.settings import S3
from scraper.sinks.s3.confirmation import unconfirmed
from scraper.sinks.s3.sink import S3Sink
from scraper.testing import store
from tests.s3servers import Front, S3Server

ARN = "arn:aws:kms:eu-west-1:123456789012:key/1234-5678"


@pytest.mark.parametrize(
    ("sse", "answer", "told"),
    [
        ("AES256", {"ServerSideEncryption": "AES256"}, ""),
        ("AES256", {}, "no encryption"),
        ("AES256", {"ServerSideEncryption": "aws:kms"}, "aws:kms"),
        ("aws:kms", {"ServerSideEncryption": "aws:kms"}, ""),
        ("aws:kms", {"ServerSideEncryption": "AES256"}, "AES256"),
        ("aws:kms:dsse", {"ServerSideEncryption": "aws:kms"}, "aws:kms"),
        ("aws:kms:1234-5678", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN}, ""),
        (f"aws:kms:{ARN}", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN}, ""),
        ("aws:kms:alias/mine", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN}, ""),
        ("aws:kms:alias/mine", {"ServerSideEncryption": "aws:kms"}, "no key"),
        ("aws:kms:9", {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": ARN}, f"the key {ARN}"),
    ],
)
def test_encryption_is_confirmed_by_the_answer_to_the_put(
    sse: str, answer: dict[str, str], told: str
) -> None:
    said = unconfirmed(S3(sse=sse), answer, lambda: ("GLACIER", "GLACIER"))
    assert said == (told and f"--s3-sse {sse} (it tells {told})")


@pytest.mark.parametrize(
    ("asked", "head", "listed", "told"),
    [
        ("STANDARD", "", "STANDARD", ""),
        ("STANDARD", "", "", ""),
        ("STANDARD_IA", "STANDARD_IA", "STANDARD_IA", ""),
        ("STANDARD_IA", "STANDARD_IA", "", ""),
        ("STANDARD_IA", "", "STANDARD", "STANDARD"),
        ("STANDARD_IA", "", "", "STANDARD"),
        ("STANDARD_IA", "STANDARD_IA", "STANDARD", "STANDARD"),
        ("STANDARD", "GLACIER", "GLACIER", "GLACIER"),
    ],
)
def test_a_storage_class_is_confirmed_by_the_head_and_the_list(
    asked: str, head: str, listed: str, told: str
) -> None:
    said = unconfirmed(S3(storage_class=asked), {}, lambda: (head, listed))
    assert said == (told and f"--s3-storage-class {asked} (it tells {told})")


def sink_at(server: S3Server | Front, bucket: str, client: str, **s3: object) -> S3Sink:
    return S3Sink(bucket, "p", server.options(client=client, **s3))


ASKED = [
    {"sse": "AES256"},
    {"sse": "aws:kms"},
    {"storage_class": "STANDARD_IA"},
]


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize("name", ["rclone", "s3rver"])
def test_an_endpoint_that_confirms_nothing_is_refused_unless_that_is_allowed(
    name: str,
    asked: dict[str, str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    s3_client: str,
) -> None:
    server: S3Server = request.getfixturevalue(f"{name}_server")
    for variable, value in server.credentials.items():
        monkeypatch.setenv(variable, value)
    bucket = server.make_bucket()
    option = "--s3-sse" if "sse" in asked else "--s3-storage-class"
    words = f"the endpoint does not confirm {option} {next(iter(asked.values()))} (it tells "
    sink = sink_at(server, bucket, s3_client, **asked)
    with pytest.raises(DestinationError) as caught:
        sink.check()
    sink.close()
    assert str(caught.value).startswith(f"can't use s3://{bucket}: {words}")
    assert caught.value.hint == "--s3-unconfirmed stores all the same"
    assert server.keys(bucket) == set()
    sink = sink_at(server, bucket, s3_client, **asked, unconfirmed=True)
    sink.check()
    store(sink, "k", b"x")
    sink.close()
    assert f"not confirmed: {option}" in sink.remark
    assert server.read(bucket, "p/k") == b"x"


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("asked", [*ASKED, {"sse": "AES256", "storage_class": "GLACIER"}])
def test_an_endpoint_that_confirms_is_used(
    asked: dict[str, str], moto_server: S3Server, s3_client: str
) -> None:
    with Front(moto_server.url, lambda _: None) as front:
        sink = sink_at(front, moto_server.make_bucket(), s3_client, **asked)
        sink.check()
        sink.close()
        assert "confirm" not in sink.remark
        looks = front.count("HEAD") + front.count("GET")
        assert looks == (2 if "storage_class" in asked else 0), "nothing is asked for in vain"


@pytest.mark.parametrize("asked", [{"sse": "AES256"}, {"sse": "aws:kms"}, {"storage_class": "X"}])
@pytest.mark.parametrize("name", ["swift", "radosgw"])
def test_an_endpoint_that_refuses_an_option_is_told_with_its_name(
    name: str,
    asked: dict[str, str],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server: S3Server = request.getfixturevalue(f"{name}_server")
    for variable, value in server.credentials.items():
        monkeypatch.setenv(variable, value)
    sink = sink_at(server, server.make_bucket(), "boto3", **asked)
    with pytest.raises(DestinationError) as caught:
        sink.check()
    sink.close()
    option = "--s3-sse" if "sse" in asked else "--s3-storage-class"
    said = f"{caught.value} {caught.value.hint}"
    assert f"{option} {next(iter(asked.values()))}" in said
