"""Addresses that a run must not reach, whatever a list, a name server or a redirect says.

The program runs on an island (see there), where public addresses are at hand.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.command import Command, lines
from tests.hostile.island import Island, island, islands_can_be_had
from tests.s3servers import CREDENTIALS, S3Server
from tests.servers import HttpServer, Reply

PUBLIC, OTHER, SIX = "93.184.216.34", "93.184.216.35", "2606:2800:220:1::1"
DEAD = "93.184.216.36"  # public, and nobody is there
LOOPBACK = ("127.0.0.1", "::1")

# As listed, and the address that is refused.
CLOSED = {
    "127.0.0.1": "127.0.0.1",
    "127.1": "127.0.0.1",
    "0x7f000001": "127.0.0.1",
    "0177.0.0.1": "127.0.0.1",
    "2130706433": "127.0.0.1",
    "%31%32%37.0.0.1": "127.0.0.1",
    "%EF%BC%91%EF%BC%92%EF%BC%97.0.0.1": "127.0.0.1",  # digits of full width
    "0.0.0.0": "0.0.0.0",
    "0": "0.0.0.0",
    "10.0.0.1": "10.0.0.1",
    "100.64.0.1": "100.64.0.1",
    "169.254.169.254": "169.254.169.254",
    "224.0.0.1": "224.0.0.1",
    "255.255.255.255": "255.255.255.255",
    "localhost": "127.0.0.1",
    "LOCALHOST.": "127.0.0.1",
    "in.localhost": "127.0.0.1",
    "inner.example": "127.0.0.1",
    "six.inner.example": "::1",
    "mapped.example": "::ffff:127.0.0.1",
    "[::1]": "::1",
    "[::]": "::",
    "[::ffff:127.0.0.1]": "::ffff:127.0.0.1",
    "[::ffff:0.0.0.0]": "::ffff:0.0.0.0",
    "[::127.0.0.1]": "::127.0.0.1",
    "[64:ff9b::127.0.0.1]": "64:ff9b::7f00:1",
    "[64:ff9b:1::127.0.0.1]": "64:ff9b:1::7f00:1",
    "[2002:7f00:1::]": "2002:7f00:1::",
    "[2001:0:7f00:1::]": "2001:0:7f00:1::",
    "[fe80::1]": "fe80::1",
    "[fd00:ec2::254]": "fd00:ec2::254",
    "[ff02::1]": "ff02::1",
}
OPEN = [
    *(PUBLIC, f"[{SIX}]", f"[::ffff:{PUBLIC}]", "outer.example"),
    "mixed.example",  # a private address stands first
    "half.example",  # nobody is at the first
]
NAMES = {
    "localhost": [["127.0.0.1"]],  # /etc/hosts has it without a dot at its end
    "in.localhost": [["127.0.0.1"]],
    "inner.example": [["127.0.0.1"]],
    "six.inner.example": [["::1"]],
    "mapped.example": [["::ffff:127.0.0.1"]],
    "outer.example": [[PUBLIC]],
    "mixed.example": [["127.0.0.1", "10.0.0.1", PUBLIC]],
    "half.example": [[DEAD, PUBLIC]],
    # Public when somebody looks, private when somebody connects.
    **{f"turns-{engine}.example": [[PUBLIC], ["127.0.0.1"]] for engine in ("threads", "curl")},
    **{f"moves-{engine}.example": [[PUBLIC], ["127.0.0.1"]] for engine in ("threads", "curl")},
}


def to(location: str) -> dict[str, Any]:
    return {"status": 302, "headers": {"Location": location}}


HOPS = {
    **{f"/to/{number}": to(f"http://{host}/") for number, host in enumerate(CLOSED)},
    "/to/public": to(f"http://{OTHER}/"),
    "/to/public/private": to(f"http://{OTHER}/to/private"),
    "/to/private": to("http://127.0.0.1/"),
    "/to/private/public/private": to(f"http://{OTHER}/to/private"),
    **{f"/{name}": to(f"http://{name}:8080/") for name in NAMES if name.startswith("moves")},
}
PAGE = {"/": {"body": "page"}, "/list": {"body": "http://127.0.0.1/\n"}}
SITES = {address: {**PAGE, **HOPS} for address in (PUBLIC, OTHER, SIX, *LOOPBACK)}

pytestmark = pytest.mark.skipif(not islands_can_be_had(), reason="no network of one's own here")
each_engine = pytest.mark.parametrize("engine", ["threads", "curl"])


@pytest.fixture(scope="module")
def shore() -> Iterator[Island]:
    with island(SITES, NAMES) as land:
        yield land


@pytest.fixture
def land(shore: Island, cli: Command) -> Island:
    """The island, with the program on it."""
    cli.prefix = shore.prefix(cli.directory)
    shore.asked()
    return shore


def outcomes(cli: Command) -> dict[str, Any]:
    """By host as listed: the status, or kind and message of the error."""
    records = cli.records()
    return {
        record["url"].split("/")[2]: (record["error"]["kind"], record["error"]["message"])
        if "error" in record
        else record["status"]
        for record in records
    }


@each_engine
def test_public_only_reaches_public_addresses_alone(
    engine: str, cli: Command, land: Island
) -> None:
    listed = [f"http://{host}/" for host in (*CLOSED, *OPEN)]
    ran = cli("--public-only", "--engine", engine, "--key", "{line}", stdin=lines(*listed))
    assert ran.status == 1
    assert outcomes(cli) == {
        **{
            host: ("blocked_address", f"--public-only: {address} is not public")
            for host, address in CLOSED.items()
        },
        **dict.fromkeys(OPEN, "stored"),
    }
    assert all(record["attempts"] == 1 for record in cli.records())
    assert {address for address, _ in land.asked()} == {PUBLIC, SIX}


@each_engine
def test_without_it_the_same_list_may_lead_anywhere(
    engine: str, cli: Command, land: Island
) -> None:
    listed = ["http://127.0.0.1/", "http://inner.example/", "http://[::1]/", f"http://{PUBLIC}/"]
    assert cli("--engine", engine, stdin=lines(*listed)).status == 0
    assert sorted({address for address, _ in land.asked()}) == sorted({*LOOPBACK, PUBLIC})


@each_engine
@pytest.mark.parametrize("options", [[], ["--public-only"]], ids=["always", "--public-only"])
def test_a_redirect_from_a_public_to_another_address_is_refused(
    options: list[str], engine: str, cli: Command, land: Island
) -> None:
    listed = [f"http://{PUBLIC}/to/{number}" for number in range(len(CLOSED))]
    ran = cli(*options, "--engine", engine, stdin=lines(*listed))
    assert ran.status == 1
    why = options[0] if options else "redirected from a public address"
    found = {record["line"]: record for record in cli.records()}
    for line, address in enumerate(CLOSED.values(), 1):
        error = {"kind": "blocked_address", "message": f"{why}: {address} is not public"}
        assert (found[line]["error"], found[line]["http_code"]) == (error, 302)
    assert {address for address, _ in land.asked()} == {PUBLIC}


@each_engine
def test_each_hop_counts(engine: str, cli: Command, land: Island) -> None:
    listed = [
        f"http://{PUBLIC}/to/public",
        f"http://{PUBLIC}/to/public/private",
        "http://127.0.0.1/to/private",
        "http://127.0.0.1/to/private/public/private",
    ]
    cli("--engine", engine, "-c", 1, stdin=lines(*listed))
    records = sorted(cli.records(), key=lambda record: int(record["line"]))
    assert [record.get("error", {}).get("kind") for record in records] == [
        *(None, "blocked_address"),
        *(None, "blocked_address"),
    ]
    assert [record["url_effective"] for record in records] == [
        f"http://{OTHER}/",
        f"http://{OTHER}/to/private",
        "http://127.0.0.1/",
        f"http://{OTHER}/to/private",
    ]
    assert land.asked().count(["127.0.0.1", "/"]) == 1


@each_engine
def test_a_name_that_changes_its_mind_is_taken_at_the_word_that_was_checked(
    engine: str, cli: Command, land: Island
) -> None:
    """The name server's second answer is private: who asks twice connects to that."""
    url = f"http://turns-{engine}.example/"
    assert cli("--public-only", "--engine", engine, stdin=lines(url)).status == 0
    assert land.asked() == [[PUBLIC, "/"]]


@each_engine
def test_a_redirect_to_the_same_name_is_refused_if_that_is_private_by_then(
    engine: str, cli: Command, land: Island
) -> None:
    name = f"moves-{engine}.example"
    assert cli("--engine", engine, stdin=lines(f"http://{name}/{name}")).status == 1
    message = "redirected from a public address: 127.0.0.1 is not public"
    assert outcomes(cli) == {name: ("blocked_address", message)}
    assert land.asked() == [[PUBLIC, f"/{name}"]]


@each_engine
def test_a_lists_own_address_is_the_users_word_but_not_where_it_redirects_to(
    engine: str, cli: Command, land: Island
) -> None:
    ran = cli("--public-only", "--engine", engine, "-i", "http://127.0.0.1/list")
    assert outcomes(cli)["127.0.0.1"][0] == "blocked_address"
    ran = cli("--engine", engine, "-i", f"http://{PUBLIC}/to/private")
    assert ran.status == 2
    assert "redirected from a public address: 127.0.0.1 is not public" in ran.err
    assert land.asked() == [["127.0.0.1", "/list"], [PUBLIC, "/to/private"]]


@each_engine
def test_through_a_proxy_what_is_not_checked_is_said_and_proxy_and_destination_may_be_anywhere(
    engine: str, cli: Command, moto_server: S3Server
) -> None:
    bucket = moto_server.make_bucket()
    with HttpServer(lambda _: Reply(body=b"page")) as proxy:
        ran = cli(
            *("--public-only", "--proxy", proxy.url, "--engine", engine, "-q"),
            *("--to", f"s3://{bucket}/p", "--s3-endpoint", moto_server.url, "--key", "{line}"),
            stdin=lines("http://inner.example/", "http://10.0.0.1/"),
            env=CREDENTIALS,
        )
        assert proxy.total == 1
    warned, failed, *_ = ran.errors
    assert warned.startswith("--public-only: where names lead through the proxy is not known")
    assert failed.endswith("blocked_address: --public-only: 10.0.0.1 is not public")
    assert moto_server.read(bucket, "p/1") == b"page"
