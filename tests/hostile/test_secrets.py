"""Secrets: each has a word of its own, and no word is anywhere but with who it was given for.

What a run writes is searched byte by byte: stdout, stderr, log, results, manifest, objects, their
names and metadata, temporary files.
"""

import base64
import json
import threading
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from scraper.model.options import EngineName
from tests.conftest import Secure
from tests.e2e.command import Command, Ran, lines
from tests.s3servers import S3Server
from tests.servers import Farm, HttpFarm, HttpServer, Reply, Request, Routes, Serve, closed_port

each_engine = pytest.mark.parametrize("engine", ["threads", "curl"])
INPUTS = {"list", "more.jsonl", ".netrc", "scraper.toml"}  # files that have what they were given


class Secrets:
    """Words by what they are, and a search for them."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}
        self._numbers = count(101)

    def __call__(self, what: str) -> str:
        """A new word; `what` tells what it is."""
        assert what not in self.words
        number = next(self._numbers)
        self.words[what] = f"c{number}n{number}r{number}"  # some part of it tells, in base64 too
        return self.words[what]

    def seen_in(self, *places: bytes) -> set[str]:
        """What is there, plain or in base64."""
        found = set()
        for what, word in self.words.items():
            forms = {word.encode()}
            for before in range(3):  # how many bytes stand in front of it decides on its base64
                coded = base64.b64encode(b"x" * before + word.encode())
                forms.add(coded[4 * bool(before) : -4])
            found |= {what for place in places for form in forms if form in place}
        return found


def written(cli: Command, ran: Ran) -> Iterator[bytes]:
    """Everything that a run said or left behind, names included."""
    yield from (ran.out.encode(), ran.err.encode())
    for path in cli.directory.rglob("*"):
        yield str(path).encode()
        if path.is_file() and path.name not in INPUTS:
            yield path.read_bytes()


def stored(server: S3Server, bucket: str) -> Iterator[bytes]:
    """Everything in a bucket, and what is known of it."""
    for key in server.keys(bucket):
        yield key.encode()
        yield repr(server.client.head_object(Bucket=bucket, Key=key)).encode()
        yield server.read(bucket, key) or b""


def site(secret: Secrets) -> Routes:
    """A server that redirects with secrets in hand, and one that fails in many ways."""
    there = f"http://me:{secret('userinfo of a Location')}@{{other}}/there"
    there += f"?X-Goog-Signature={secret('signature of a Location')}"
    nowhere = f"//me:{secret('userinfo of a bad Location')}@h:99999/?token={secret('its token')}"
    scheme = f"ftp://me:{secret('userinfo of an ftp Location')}@h/?sig={secret('its sig')}"
    loop = f"/loop?%74oken={secret('token in a loop')}"

    def answer(request: Request) -> Reply | None:
        other = request.host.replace("127.0.0.1", "127.0.0.2")
        places = {"/away": there, "/nowhere": nowhere, "/scheme": scheme, "/loop": loop}
        path = request.plain_path
        if path in places:
            return Reply(302, {"Location": places[path].replace("{other}", other)})
        if path == "/none":
            return None  # the connection is closed
        if path == "/list":
            return Reply(body=f"http://{request.host}/listed\n".encode())
        status = {"/missing": 404, "/busy": 503}.get(path, 200)
        return Reply(status, {"Content-Type": "text/plain"}, b"page")

    return answer


def listed(secret: Secrets, url: str) -> list[str]:
    """Lines with secrets at every place, for all that can become of a line."""
    info = url.replace("//", "//me:{}@")
    names = ["X-Amz-Signature", "X-Amz-Credential", "X-Amz-Security-Token", "X-Goog-Signature"]
    names += ["sig", "token", "key", "code", "access_token", "userKey", "Signature", "a[password]"]
    query = "&".join(f"{name}={secret(f'{name} in a query')}" for name in names)
    return [
        f"{url}/signed.txt?{query}",
        f"{url}/missing?{query}",
        f"{info.format(secret('userinfo'))}/ok",
        f"{info.format(secret('userinfo of a busy page'))}/busy?token={secret('its own token')}",
        f"{info.format(secret('userinfo of a closed page'))}/none?token={secret('token, closed')}",
        *(f"{url}/{name}" for name in ("away", "nowhere", "scheme", "loop")),
        f"{url}/taken?token={secret('first token')}\tname",
        f"{url}/taken?token={secret('second token')}\tname",
        f"{url}/twice?token={(twice := secret('a token in two lines'))}\tsame",
        f"{url}/twice?token={twice}\tsame",
        f"http://me:{secret('userinfo, refused')}@127.0.0.1:{closed_port()}/?key={secret('key')}",
        f"http://me:{secret('userinfo, no name')}@no.such.invalid/?sig={secret('sig, no name')}",
        f"{info.replace('http:', 'https:').format(secret('userinfo, tls'))}/?pwd={secret('pwd')}",
        f"http://me:{secret('userinfo, bad port')}@h:99999/?token={secret('token, bad port')}",
        f"http://me:pass/{secret('password with a slash')}@host/",
        f"//me:{secret('userinfo without scheme')}@host/",
        f"ftp://me:{secret('userinfo of ftp')}@host/?token={secret('token of ftp')}",
        json.dumps({"url": f"{url}/json", "headers": {"Cookie": secret("cookie of a line")}}),
        json.dumps({"url": f"{info.format(secret('user, bad key'))}/", "key": 5}),
        json.dumps(
            {"url": f"{url}/", "headers": {"X-Auth": f"\a{secret('header of a bad line')}"}}
        ),
        json.dumps(
            {"url": f"{url}/", "headers": {f"X-Auth: {secret('header as a name')}": "", "A": "b"}}
        ),
        f'{{"headers": {{"Cookie": "{secret("cookie of no JSON")}"}}, url',
        f"{{'headers': {{'Cookie': '{secret('cookie in other quotes')}'}}}}",
    ]


@pytest.fixture
def secret() -> Secrets:
    return Secrets()


def headers(secret: Secrets) -> list[str]:
    """Options."""
    names = ("Authorization", "Cookie", "X-Api-Key", "Subscription-Key")
    return [word for name in names for word in ("-H", f"{name}: {secret(f'{name} header')}")]


def everything(
    form: str, engine: EngineName, cli: Command, secret: Secrets, url: str, *s3: str
) -> Ran:
    """A run of the whole list, into a directory or, in JSON, into the bucket and endpoint."""
    bucket, endpoint = s3
    cli.write("list", *listed(secret, url))
    cli.write(".netrc", f"machine 127.0.0.2 login me password {secret('password of netrc')}")
    place = url.replace("//", f"//me:{secret('userinfo of the list')}@") + "/list"
    to_s3 = ["--to", f"s3://{bucket}/p", "--s3-endpoint", endpoint]
    (cli.directory / "tmp").mkdir()
    environment = {
        "AWS_ACCESS_KEY_ID": "known",
        "AWS_SECRET_ACCESS_KEY": secret("secret of AWS"),
        "AWS_SESSION_TOKEN": secret("token of AWS"),
        "TMPDIR": str(cli.directory / "tmp"),
    }
    return cli(
        *("list", "-i", f"{place}?X-Amz-Signature={secret('signature of the list')}"),
        *("-v", "--engine", engine, "--log-format", form, "--netrc", "--results", "-"),
        *(
            *headers(secret),
            "--retries",
            1,
            "--retry-max-time",
            3,
            "--key",
            "url" if form == "text" else "hash",
        ),
        *(to_s3 if form == "json" else ["--log-file", "log"]),
        env=environment,
    )


@each_engine
@pytest.mark.parametrize("form", ["text", "json"])
def test_no_secret_is_written_anywhere(
    form: str,
    engine: EngineName,
    cli: Command,
    secret: Secrets,
    moto_server: S3Server,
) -> None:
    with HttpFarm(site(secret)) as servers:
        bucket = moto_server.make_bucket()
        ran = everything(form, engine, cli, secret, servers.url, bucket, moto_server.url)
    assert ran.status == 1
    assert secret.seen_in(*written(cli, ran), *stored(moto_server, bucket)) == set()
    statuses = {record["status"] for record in ran.records}
    assert statuses == {"stored", "failed", "duplicate"}
    kinds = {record["error"]["kind"] for record in ran.records if "error" in record}
    assert kinds >= {"bad_url", "dns", "connect", "protocol", "http_status"}
    assert "retry" in ran.err + "".join(map(Path.read_text, cli.directory.glob("log")))


@each_engine
def test_secrets_go_to_the_origin_they_were_given_for_alone(
    engine: EngineName, cli: Command, secret: Secrets, farm: Farm
) -> None:
    servers = farm(site(secret))
    given = headers(secret)
    url = servers.url.replace("//", f"//me:{secret('userinfo')}@")
    line = {"url": f"{url}/away", "headers": {"X-Auth-Token": secret("header of the line")}}
    ours = secret.seen_in(repr((given, line)).encode())
    assert cli("--engine", engine, *given, stdin=lines(json.dumps(line))).status == 0
    home, away = servers.requests
    assert (home.address, away.address) == ("127.0.0.1", "127.0.0.2")
    assert secret.seen_in(repr(home).encode()) == ours - {"userinfo"}  # -H Authorization wins
    assert secret.seen_in(repr(away).encode()) == {
        "signature of a Location",
        "userinfo of a Location",
    }


@each_engine
def test_no_secret_goes_from_https_down_to_http(
    engine: EngineName,
    cli: Command,
    secret: Secrets,
    serve: Serve,
    serve_tls: Callable[[Routes], Secure],
) -> None:
    plain = serve({"/": b"page"})
    tls, authority = serve_tls({"/": Reply(302, {"Location": f"{plain.url}/"})})
    url = tls.url.replace("//", f"//me:{secret('userinfo')}@")
    words = ["--engine", engine, "--cacert", authority, "-H", f"Cookie: {secret('cookie')}"]
    assert cli(*words, stdin=lines(f"{url}/")).status == 0
    assert secret.seen_in(repr(tls.requests).encode()) == {"userinfo", "cookie"}
    assert secret.seen_in(repr(plain.requests).encode()) == set()


@each_engine
@pytest.mark.parametrize("way", ["-u", "--user", "--user=", "-qu", "-u joined", "SCRAPER_USER"])
def test_the_password_of_user_is_not_told(
    way: str, engine: EngineName, cli: Command, secret: Secrets, serve: Serve
) -> None:
    server = serve({"/": b"page"})
    given = f"me:{secret('user')}"
    words = {"--user=": [f"--user={given}"], "-u joined": [f"-u{given}"], "SCRAPER_USER": []}
    env = {"SCRAPER_USER": given} if way == "SCRAPER_USER" else {}
    ran = cli(
        *("--engine", engine, "--log-format", "json", *words.get(way, [way, given])),
        stdin=lines(f"{server.url}/"),
        env=env,
    )
    assert ran.status == 0
    assert server.requests[0].headers["authorization"].startswith("Basic ")
    stored = b"".join(path.read_bytes() for path in cli.directory.rglob("*") if path.is_file())
    assert secret.seen_in((ran.out + ran.err).encode() + stored) == set()


@each_engine
@pytest.mark.parametrize(
    ("way", "there"),
    [
        *(("--proxy", True), ("--proxy", False), ("http_proxy", True), ("http_proxy", False)),
        *(("SCRAPER_PROXY", True), ("--config", True)),
    ],
)
def test_the_password_of_a_proxy_is_not_told(
    way: str, there: bool, engine: EngineName, cli: Command, secret: Secrets
) -> None:
    with HttpServer(lambda _: Reply(407, body=b"no")) as proxy:
        port = proxy.port if there else closed_port()
        url = f"http://me:{secret('password')}@127.0.0.1:{port}"
        cli.write("scraper.toml", f'proxy = "{url}"')
        words = {"--proxy": ["--proxy", url], "--config": ["--config", "scraper.toml"]}.get(way, [])
        ran = cli(
            *(*words, "-v", "--engine", engine, "--retries", 1, "--retry-max-time", 1),
            stdin=lines("http://host.invalid/"),
            env={way: url} if not words else None,
        )
        assert ran.status == 1
        assert secret.seen_in(*written(cli, ran)) == set()
        assert proxy.total == there


def test_a_preview_shows_no_secret(cli: Command, secret: Secrets) -> None:
    cli.write("list", *listed(secret, "http://host.example"))
    ran = cli("--dry-run", "list", *headers(secret))
    assert ran.status == 1
    assert "http://host.example/signed.txt?X-Amz-Signature=REDACTED&" in ran.out
    assert secret.seen_in(*written(cli, ran)) == set()


# What is wrong with an option, a variable or a file is told without repeating a secret.
WRONG: list[tuple[list[str], dict[str, str]]] = [
    (["-H", "{}"], {}),
    (["-H", "Authorization {}"], {}),
    (["-H", "A(uthorization: {}"], {}),
    (["-H", "Cookie={}: a"], {}),
    (["-H", "Authorization: {}\a"], {}),
    ([], {"SCRAPER_HEADER": "Bearer {}"}),
    (["--proxy", "http://me:{}@"], {}),
    (["--proxy", "http://me:pass/{}@host"], {}),
    (["--proxy", "http://me:pass#{}@host:1"], {}),
    (["--proxy", "http://me:{}@host:99999"], {}),
    (["--proxy", "socks6://me:{}@host"], {}),
    ([], {"SCRAPER_PROXY": "ftp://me:{}@host"}),
    ([], {"http_proxy": "http://me:pass/{}@host:1"}),
    ([], {"https_proxy": "ftp://me:{}@host"}),
    ([], {"all_proxy": "http://me:{}@host:port{}"}),
    (["--to", "scp://me:{}@host/"], {}),
    (["--to", "sftp://me:{}?@host/"], {}),
    (["--to", "ftp://me:{}@host:99999/"], {}),
    (["sftp://me:{}@127.0.0.1:1/list"], {}),
    (["--to", "s3://me:{}@bucket/{{host}}"], {}),
    (["--s3-endpoint", "ftp://me:{}@host"], {}),
    (["--max-size", "http://me:{}@host/?key={}"], {}),
    (["ftp://me:{}@host/list?token={}"], {}),
    (["http://me:pass/{}@host/list?token={}"], {}),
    (["-i", "http://me:pass/{}@host/list?token={}"], {}),
    (["-i", "http://me:{}@127.0.0.1:1/list?token={}", "--retries", "0"], {}),
    (["s3://me:{}@bucket"], {}),
    (["--dry-run", "-i", "http://me:{}@host/list"], {}),
    (["--netrc"], {}),
    (["--config", "scraper.toml"], {}),
    (["--contact", "http://me:{}@host/("], {}),
]


@pytest.mark.parametrize(("words", "variables"), WRONG, ids=lambda value: " ".join(value) or "-")
def test_what_is_wrong_is_told_without_the_secret_in_it(
    words: list[str], variables: dict[str, str], cli: Command, secret: Secrets
) -> None:
    word = secret("it")
    cli.write(".netrc", f"machine host login me password two {word}")
    cli.write("scraper.toml", f'proxy = ["http://me:{word}@host"]')
    ran = cli(
        *(one.replace("{}", word) for one in words),
        stdin=lines("http://host.invalid/"),
        env={name: value.replace("{}", word) for name, value in variables.items()},
    )
    assert (ran.status, len(ran.complaints)) == (2, 1)
    assert ran.err.startswith("scraper: ")
    assert secret.seen_in(*written(cli, ran)) == set()


def test_a_trace_of_what_nobody_expected_shows_no_secret(cli: Command, secret: Secrets) -> None:
    package = cli.directory / "odd-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[scraper.sinks]\nodd = odd_sink:open_sink\n")
    cli.write("odd_sink.py", "def open_sink(to, options):", "    raise RuntimeError(to)")
    to = f"odd://me:{secret('userinfo')}@host/?token={secret('token')}"
    ran = cli("--to", to, stdin=lines("http://host/"), env={"PYTHONPATH": str(cli.directory)})
    assert (ran.status, ran.errors[0]) == (1, "Traceback (most recent call last):")
    assert ran.errors[-1] == "RuntimeError: odd://REDACTED@host/?token=REDACTED"
    assert secret.seen_in(*written(cli, ran)) == set()


@each_engine
def test_no_secret_shows_when_a_programmer_prints_what_there_is(
    engine: EngineName, tmp_path: Path, secret: Secrets, farm: Farm
) -> None:
    from scraper import run
    from scraper.model.settings import Settings

    servers = farm(site(secret))
    given = {"Authorization": secret("header"), "Cookie": secret("cookie")}
    shown = list(
        run(listed(secret, servers.url), to=tmp_path, engine=engine, retries=0, headers=given)
    )
    proxy = f"http://me:{secret('password')}@proxy"
    assert secret.seen_in(repr(shown).encode()) == set()
    assert secret.seen_in(repr(Settings.of(headers=given, proxy=proxy)).encode()) == set()


def test_the_search_finds_what_it_should() -> None:
    secret = Secrets()
    word = secret("it").encode()
    for place in (word, b"me:" + word, b"a:" + word + b":x", b"ab" + word, b"me" + word + b"x"):
        assert secret.seen_in(place) == {"it"}
        assert secret.seen_in(base64.b64encode(place)) == {"it"}, place
    assert secret.seen_in(secret.words["it"].replace("1", "2").encode()) == set()


def test_nobody_sees_them_in_the_command_line_of_a_running_process(
    cli: Command, serve: Serve
) -> None:
    secrets, asked, go = Secrets(), threading.Event(), threading.Event()

    def handle(request: Request) -> Reply:
        del request
        asked.set()
        return Reply(body=b"page", delay=go)

    proxy = serve(handle)
    words = ["-H", f"Authorization: Bearer {secrets('header')}", f"-HX-Api-Key:{secrets('key')}"]
    words += ["--proxy", proxy.url.replace("//", f"//me:{secrets('proxy')}@"), "-q"]
    cli.write("list", "http://host.example/page")
    with cli.start(*words, "list") as process:
        assert asked.wait(60)
        seen = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        go.set()
        ran = cli.ended(process)
    assert (ran.status, ran.err) == (0, "")
    assert secrets.seen_in(seen) == set()
    assert b"scraper" in seen
    assert b"REDACTED" in seen
