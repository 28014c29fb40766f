"""Requests as other clients send them, with every engine: names of headers, passwords."""

import re
import socket
from dataclasses import replace

from scraper.model.errors import Kind
from scraper.model.settings import Http, Limits
from scraper.transfer.plan import Plan
from tests.conformance.engine_bench import MakeBench, failure
from tests.conformance.engine_cases import PAGE, sized
from tests.servers import HttpServer, RawServer, Reply, Request, read_head

USER = "me:se:cret"
BASIC = "Basic bWU6c2U6Y3JldA=="


def names_of(head: bytes) -> list[str]:
    return [line.partition(b":")[0].decode() for line in head.split(b"\r\n")[1:] if line]


def test_names_of_headers_go_out_as_the_user_wrote_them_and_ours_as_usual(
    bench: MakeBench,
) -> None:
    heads: list[bytes] = []

    def script(_number: int, sock: socket.socket) -> None:
        while head := read_head(sock):
            heads.append(head)
            sock.sendall(sized(PAGE))

    with RawServer(script) as server:
        http = Http(headers=(("X-API-Key", "k"), ("x-lower", "l"), ("DNT", "1")), user=USER)
        made = bench(http=http)
        made.plan = Plan(Limits(), http, "scraper/1", {})
        for _ in range(2):
            assert made.body(made.fetch(server.url)) == PAGE
        other = Http(headers=(("x-api-KEY", "k"), ("X-Lower", "l"), ("dnt", "1")), user=USER)
        made.plan = replace(made.plan, http=other)
        assert made.body(made.fetch(server.url)) == PAGE
    ours = {"Host", "User-Agent", "Accept", "Accept-Encoding", "Authorization"}
    assert set(names_of(heads[0])) == ours | {"X-API-Key", "x-lower", "DNT"}
    assert heads[1] == heads[0]
    assert set(names_of(heads[2])) == ours | {"x-api-KEY", "X-Lower", "dnt"}


class Digest:
    """A server that asks for Digest, and gives each nonce once."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, request: Request) -> Reply:
        said = request.headers.get("authorization", "")
        if re.search(rf'nonce="n{self.asked}"', said) and 'username="me"' in said:
            return Reply(body=PAGE)
        self.asked += 1
        return Reply(401, {"WWW-Authenticate": f'Digest realm="r", nonce="n{self.asked}"'}, b"no")


def test_basic_is_sent_at_once_and_digest_when_it_is_asked_for(bench: MakeBench) -> None:
    with HttpServer(Digest()) as server:
        made = bench(http=Http(user=USER))
        for number in (1, 2):
            assert made.body(made.fetch(f"{server.url}/{number}")) == PAGE
        sent = [request.headers["authorization"] for request in server.requests]
        assert sent[0] == sent[2] == BASIC
        assert sent[1].startswith("Digest ")
        assert server.total == 4


def test_a_digest_that_is_refused_is_a_401(bench: MakeBench) -> None:
    always = Reply(401, {"WWW-Authenticate": 'Digest realm="r", nonce="n"'})
    with HttpServer({"/": always}) as server:
        found = failure(bench(http=Http(user=USER)).fetch(server.url))
        assert (found.kind, found.http_code) == (Kind.HTTP_STATUS, 401)
        assert server.total == 2
        assert failure(bench().fetch(server.url)).http_code == 401
        assert server.total == 3


def test_a_password_is_for_the_origin_of_the_target_only(bench: MakeBench) -> None:
    asks = Reply(401, {"WWW-Authenticate": 'Digest realm="r", nonce="n"'})
    with HttpServer({"/": asks}, "127.0.0.2") as away:
        there = Reply(302, {"Location": f"{away.url}/"})
        with HttpServer({"/": there}) as server:
            found = failure(bench(http=Http(user=USER)).fetch(server.url))
        assert found.http_code == 401
        assert [request.headers.get("authorization") for request in away.requests] == [None]
        assert server.requests[0].headers["authorization"] == BASIC


def wants_cookies(request: Request) -> Reply:
    """A site that lets nobody in who does not send its cookies back."""
    if request.plain_path == "/in":
        return Reply(body=request.headers.get("cookie", "none").encode())
    cookies = ["a=1; Path=/", "b=2; HttpOnly"]
    return Reply(302, [("Location", "/in"), *(("Set-Cookie", one) for one in cookies)])


def test_cookies_last_to_the_end_of_a_chain_and_no_longer(bench: MakeBench) -> None:
    with HttpServer(wants_cookies) as server:
        made = bench()
        for _ in range(2):
            got = made.body(made.fetch(f"{server.url}/start"))
            assert sorted(got.split(b"; ")) == [b"a=1", b"b=2"]
        assert made.body(made.fetch(f"{server.url}/in")) == b"none"
