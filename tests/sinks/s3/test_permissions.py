"""A permission that is missing is named, with the key, before a run asks anything of the web.

By a front that denies single actions in Amazon's words or without any, by radosgw's policies of
buckets, and by moto's own judgement of policies.
"""

import json
import tempfile
from contextlib import closing
from pathlib import Path
from random import Random

import boto3
import pytest
from moto.core import set_initial_no_auth_action_count

from scraper.model.errors import DestinationError, ListError, SinkError
from scraper.sinks.lease import LEASE_KEY, Lease
from scraper.sinks.mutex import MUTEX_PREFIX
from scraper.sinks.objects.sizes import MIB, Sizes
from scraper.sinks.s3.open_object import open_object
from scraper.sinks.s3.sink import S3Sink, open_sink
from scraper.testing import store
from tests.denying import ALL, NEEDED, SILENT, WORDS, denying
from tests.radosgw import Radosgw
from tests.s3servers import Asked, Front, Refusal, S3Server, credentials

IN_PARTS = Random(1).randbytes(11_000_000)


def begins(sink: S3Sink) -> str:
    """What a run does with its destination before its first request. Returns the error."""
    try:
        sink.check()
        with closing(sink):
            Lease(sink, f"s3://{sink.bucket}/p", lambda _: None).release()
    except DestinationError as error:
        return str(error)
    return ""


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize("words", [WORDS, SILENT], ids=["Amazon's", "none"])
@pytest.mark.parametrize("action", NEEDED)
def test_what_a_run_needs_is_named_before_it_begins(
    action: str, words: str, moto_server: S3Server
) -> None:
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, denying(moto_server, action, words=words)) as front:
        said = begins(open_sink(f"s3://{bucket}/p", front.options()))
    key = "probe" if action == "PutObject" else "lock.json"
    assert f": s3:{action} is denied on s3://{bucket}/p/.scraper/{key} (AccessDenied" in said
    assert "\n" not in said
    assert moto_server.keys(bucket) == set()


@pytest.mark.usefixtures("aws")
def test_two_that_are_missing_are_both_named(moto_server: S3Server) -> None:
    bucket = moto_server.make_bucket()
    fault = denying(moto_server, "GetObject", "ListBucket", words=SILENT)
    with Front(moto_server.url, fault) as front:
        said = begins(open_sink(f"s3://{bucket}/p", front.options()))
    assert f": s3:GetObject, s3:ListBucket is denied on s3://{bucket}/p/.scraper/lock" in said


@pytest.mark.usefixtures("aws")
def test_a_key_that_may_not_be_used_is_named_as_s3_names_it(moto_server: S3Server) -> None:
    """Amazon answers so to a put that is to be encrypted by somebody else's key."""
    words = WORDS.replace("s3:{}", "kms:GenerateDataKey")
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, denying(moto_server, "PutObject", words=words)) as front:
        said = begins(open_sink(f"s3://{bucket}/p", front.options()))
    assert f"kms:GenerateDataKey is denied on s3://{bucket}/p/.scraper/probe" in said


@pytest.mark.usefixtures("aws")
def test_who_may_not_delete_is_told_and_the_next_run_begins_at_once(moto_server: S3Server) -> None:
    bucket = moto_server.make_bucket()
    with Front(moto_server.url, denying(moto_server, "DeleteObject")) as front:
        for _ in range(3):
            sink = open_sink(f"s3://{bucket}/p", front.options())
            assert begins(sink) == ""
            assert sink.remark == "s3:DeleteObject is denied: what is over stays there"
    flags = {key for key in moto_server.keys(bucket) if MUTEX_PREFIX in key}
    assert {moto_server.read(bucket, key) for key in flags} == {b"{}"}
    assert moto_server.read(bucket, f"p/{LEASE_KEY}") == b"{}"


@pytest.mark.usefixtures("aws")
def test_flags_of_many_runs_that_might_not_delete_are_read_once_each(
    moto_server: S3Server,
) -> None:
    bucket, many = moto_server.make_bucket(), 60
    for number in range(many):
        moto_server.put(bucket, f"p/{MUTEX_PREFIX}{number:016x}-1", b"{}")
    with Front(moto_server.url, denying(moto_server, "DeleteObject")) as front:
        assert begins(open_sink(f"s3://{bucket}/p", front.options())) == ""
    asked = [one.operation for one in front.asked if MUTEX_PREFIX in one.path]
    assert asked.count("GET") <= many + 10
    assert asked.count("DELETE") <= 2


@pytest.mark.usefixtures("aws")
def test_parts_that_may_not_be_aborted_are_told(
    moto_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    deny = denying(moto_server, "AbortMultipartUpload")

    def fault(asked: Asked) -> Refusal | None:
        fails = asked.operation == "PUT part" and asked.number == 2
        return Refusal(500, "InternalError") if fails else deny(asked)

    bucket = moto_server.make_bucket()
    sizes = Sizes(memory=1000, part_threshold=6 * MIB, part=5 * MIB)
    with Front(moto_server.url, fault) as front:
        sink = S3Sink(bucket, "p", front.options(), sizes)
        sink.check()
        with pytest.raises(SinkError) as caught:
            store(sink, "k", IN_PARTS)
        sink.close()
    said = (
        "InternalError: as the test wants; its parts stay there: s3:AbortMultipartUpload is denied"
    )
    assert caught.value.message == f"can't store 'k': {said}"
    assert caught.value.transient
    assert moto_server.unfinished(bucket) == ["p/k"]


# ---------------------------------------------------------------- stores that judge themselves


@pytest.mark.parametrize("missing", [*NEEDED, "DeleteObject", "GetObject ListBucket"])
def test_radosgw_names_nothing_and_it_is_found_out(
    missing: str, radosgw_server: Radosgw, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = radosgw_server.make_bucket()
    denied = [f"s3:{action}" for action in missing.split()]
    for name, value in radosgw_server.let_guest_in(bucket, *denied).items():
        monkeypatch.setenv(name, value)
    sink = open_sink(f"s3://{bucket}/p", radosgw_server.options())
    said = begins(sink)
    if missing == "DeleteObject":
        assert (said, sink.remark) == ("", "s3:DeleteObject is denied: what is over stays there")
        return
    assert f": {', '.join(denied)} is denied on s3://{bucket}/p/.scraper/" in said


@pytest.mark.parametrize(
    ("missing", "key"), [("GetObject", "list"), ("ListBucket", "absent"), ("ListBucket", "list")]
)
def test_a_list_that_can_not_be_read_names_the_permission(
    missing: str, key: str, radosgw_server: Radosgw, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = radosgw_server.make_bucket()
    radosgw_server.put(bucket, "list", b"http://127.0.0.1/")
    for name, value in radosgw_server.let_guest_in(bucket, f"s3:{missing}").items():
        monkeypatch.setenv(name, value)
    if (missing, key) == ("ListBucket", "list"):
        open_object(f"s3://{bucket}/{key}", radosgw_server.options()).close()
        return
    with pytest.raises(ListError) as caught:
        open_object(f"s3://{bucket}/{key}", radosgw_server.options())
    assert f": s3:{missing}" in str(caught.value)


@pytest.mark.parametrize("missing", NEEDED)
def test_moto_judges_policies_of_users(
    missing: str, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = moto_server.make_bucket()
    iam = boto3.client(
        "iam",
        "us-east-1",
        endpoint_url=moto_server.url,
        aws_access_key_id="any",
        aws_secret_access_key="any",
    )
    iam.create_user(UserName=bucket)
    statement = {
        "Effect": "Allow",
        "Action": [f"s3:{action}" for action in ALL if action != missing],
        "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName=bucket, PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName=bucket)["AccessKey"]
    for name, value in credentials(key["AccessKeyId"], key["SecretAccessKey"]).items():
        monkeypatch.setenv(name, value)

    @set_initial_no_auth_action_count(0)
    def run() -> str:
        return begins(open_sink(f"s3://{bucket}/p", moto_server.options(client="boto3")))

    assert f": s3:{missing} is denied on s3://{bucket}/p/.scraper/" in run()
