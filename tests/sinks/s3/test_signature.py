"""Signatures: the examples that AWS publishes, and botocore's own on random requests.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html has the examples.
"""

from calendar import timegm
from datetime import UTC, datetime
from hashlib import sha256
from unittest import mock

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials
from hypothesis import given
from hypothesis import strategies as st

from scraper.sinks.s3.signature import (
    Credentials,
    Signer,
    Unsigned,
    encoded_key,
    encoded_query,
    signed_host,
)

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
HOST = "examplebucket.s3.amazonaws.com"
THEN = timegm((2013, 5, 24, 0, 0, 0))
WELCOME = sha256(b"Welcome to Amazon S3.").hexdigest()


@pytest.mark.parametrize(
    ("request_", "signature"),
    [
        (
            Unsigned("GET", HOST, encoded_key("/test.txt"), {"range": "bytes=0-9"}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        ),
        (
            Unsigned(
                "PUT",
                HOST,
                encoded_key("/test$file.text"),
                {
                    "date": "Fri, 24 May 2013 00:00:00 GMT",
                    "x-amz-storage-class": "REDUCED_REDUNDANCY",
                },
                payload_sha256=WELCOME,
            ),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        ),
        (
            Unsigned("GET", HOST, "/", query=encoded_query([("lifecycle", "")])),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            Unsigned("GET", HOST, "/", query=encoded_query([("prefix", "J"), ("max-keys", "2")])),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ],
    ids=["get-object", "put-object", "get-lifecycle", "list"],
)
def test_the_published_examples(request_: Unsigned, signature: str) -> None:
    made = Signer("us-east-1").sign(request_, EXAMPLE, THEN)
    assert made["x-amz-date"] == "20130524T000000Z"
    assert made["x-amz-content-sha256"] == request_.payload_sha256
    assert "x-amz-security-token" not in made
    scope, names, found = made["authorization"].split(", ")
    assert scope == (
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"
    )
    signed = sorted([*request_.headers, "host", "x-amz-content-sha256", "x-amz-date"])
    assert names == "SignedHeaders=" + ";".join(signed)
    assert found == f"Signature={signature}"


_TEXT = st.text(st.characters(blacklist_categories=["Cs"]), max_size=12)
_KEYS = st.one_of(_TEXT, st.text("/.~+%&= é'()!*", max_size=12))
_SECRETS = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
_VALUES = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20)
_NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=9)
_BASES = st.sampled_from(
    [
        "http://127.0.0.1:9000/bucket",
        "http://[::1]:9000/bucket",
        "https://bucket.s3.eu-west-1.amazonaws.com",
        "https://S3.Example.com:443/a%20b/bucket",
        "http://s3.example.com:80/bucket",
    ]
)


_SIGNERS = st.tuples(_SECRETS, st.none() | _SECRETS)
_QUERIES = st.dictionaries(_TEXT.filter(bool), _TEXT, max_size=3)
_METADATA = st.dictionaries(_NAMES, _VALUES, max_size=4)


@given(
    where=st.tuples(_BASES, _KEYS, _QUERIES),
    metadata=_METADATA,
    signer=_SIGNERS,
    at=st.integers(0, 4_000_000_000),
)
def test_it_is_what_botocore_signs(
    where: tuple[str, str, dict[str, str]],
    metadata: dict[str, str],
    signer: tuple[str, str | None],
    at: int,
) -> None:
    base, key, query = where
    path = "".join(base.partition("://")[2].partition("/")[1:]) + f"/{encoded_key(key)}"
    asked = encoded_query(query.items())
    headers = {f"x-amz-meta-{name}": value for name, value in metadata.items()}
    theirs = AWSRequest(
        method="PUT",
        url=f"{base}/{encoded_key(key)}" + (f"?{asked}" if asked else ""),
        headers=headers | {"X-Amz-Content-SHA256": WELCOME},
        data=b"Welcome to Amazon S3.",
    )
    auth = S3SigV4Auth(BotocoreCredentials("AKIA", *signer), "s3", "eu-west-1")
    with mock.patch("botocore.auth.get_current_datetime") as clock:
        clock.return_value = datetime.fromtimestamp(at, UTC).replace(tzinfo=None)
        auth.add_auth(theirs)
    asks = Unsigned("PUT", signed_host(base), path, headers, asked, WELCOME)
    ours = Signer("eu-west-1").sign(asks, Credentials("AKIA", *signer), at)
    assert {name: theirs.headers[name] for name in ours} == ours


def test_the_key_of_a_day_is_kept_no_longer_than_it_holds() -> None:
    def signatures(signer: Signer | None) -> list[str]:
        made = []
        for secret in ("one", "one", "two", "one"):
            for now in (THEN, THEN + 86_399, THEN + 86_400, THEN):
                chosen = signer or Signer("us-east-1")
                who = Credentials("AKIA", secret)
                head = chosen.sign(Unsigned("GET", HOST, "/k"), who, now)
                made.append(head["authorization"])
        return made

    assert signatures(Signer("us-east-1")) == signatures(None)


def test_credentials_do_not_show_their_secrets() -> None:
    shown = repr(Credentials("AKIA", "hidden-secret", "hidden-token"))
    assert "AKIA" in shown
    assert "hidden" not in shown
