"""The package as a library: `scraper.run` yields a Result for every line."""

import ast
import hashlib
import inspect
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import scraper
from scraper.model.records import Failed, Stored
from tests.e2e.command import Command, folder, parsed
from tests.s3servers import CREDENTIALS, S3Server
from tests.servers import Reply, Serve


def test_a_result_comes_for_every_line_and_the_bodies_are_stored(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve({"/a.txt": b"a", "/b.txt": b"bb"})
    lines: list[str | bytes] = [
        f"{server.url}/a.txt",
        f"{server.url}/b.txt\tunder/another name".encode(),
        "# not a line of the account",
        f"{server.url}/a.txt",
        f"{server.url}/gone",
        "nonsense",
    ]
    results = list(scraper.run(lines, to=str(tmp_path), max_concurrency=4))
    assert Counter(result.status for result in results) == {
        "stored": 2,
        "duplicate": 1,
        "failed": 2,
    }
    assert {result.target.line for result in results} == {1, 2, 4, 5, 6}
    by_line = {result.target.line: result for result in results}
    match by_line[2].outcome:
        case Stored(response, size, _):
            assert (response.http_code, size) == (200, 2)
        case other:
            pytest.fail(str(other))
    assert isinstance(by_line[5].outcome, Failed)
    assert by_line[5].failure is not None
    assert by_line[5].failure.kind is scraper.Kind.HTTP_STATUS
    assert (tmp_path / folder(server.url) / "a.txt").read_bytes() == b"a"
    assert (tmp_path / "under" / "another name").read_bytes() == b"bb"
    records = parsed((tmp_path / ".scraper" / "manifest.jsonl").read_bytes())
    assert [record["line"] for record in records] == [result.target.line for result in results]


def test_options_are_the_command_lines_with_underscores(serve: Serve, tmp_path: Path) -> None:
    server = serve({"/a": b"a" * 100, "/b.txt": b"b"})
    results = list(
        scraper.run(
            [f"{server.url}/a", f"{server.url}/b.txt"],
            to=tmp_path,
            max_concurrency=2,
            per_host=1,
            max_size=10,
            headers={"X-Mine": "yes"},
            user_agent="me",
            key="{line}{ext}",
            manifest=tmp_path / "elsewhere.jsonl",
            max_failures="50%",
        )
    )
    kinds = {result.target.line: result.failure and result.failure.kind for result in results}
    assert kinds == {1: scraper.Kind.TOO_LARGE, 2: None}
    assert server.requests[0].headers["x-mine"] == "yes"
    assert server.requests[0].headers["user-agent"] == "me"
    assert server.max_in_flight == 1
    assert (tmp_path / "2.txt").read_bytes() == b"b"
    assert len(parsed((tmp_path / "elsewhere.jsonl").read_bytes())) == 2


def test_targets_are_lines_tuples_and_dicts(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda request: Reply(body=request.headers.get("x-mine", "-").encode()))
    targets: list[Any] = [
        f"{server.url}/1\tline",
        (f"{server.url}/2", "tuple"),
        {"url": f"{server.url}/3", "key": "dict", "headers": {"X-Mine": "secret"}},
        (f"{server.url}/4.txt",),
        7,
        {"url": None},
    ]
    results = {result.target.line: result for result in scraper.run(targets, to=tmp_path)}
    assert [results[line].ok for line in range(1, 7)] == [True] * 4 + [False] * 2
    assert (tmp_path / "tuple").read_bytes() == b"-"
    assert (tmp_path / "dict").read_bytes() == b"secret"
    assert results[4].key == f"{folder(server.url)}/4.txt"
    assert str(results[5].error) == "bad_url: int is no line, no (url, key), and no dict"
    again = scraper.run(targets, to=tmp_path, resume=True)
    assert [one.status for one in again].count("skipped") == 4
    assert b"secret" not in (tmp_path / ".scraper" / "manifest.jsonl").read_bytes()


def test_lines_are_taken_lazily_and_results_come_before_the_last_line(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(lambda request: Reply(body=b"x"))
    first_seen = threading.Event()

    def lines() -> Iterator[str]:
        yield f"{server.url}/first.txt"
        assert first_seen.wait(30)
        yield f"{server.url}/second.txt"

    seen = []
    for result in scraper.run(lines(), to=str(tmp_path)):
        seen.append(result.target.line)
        first_seen.set()
    assert seen == [1, 2]


def test_leaving_early_stops_the_run_and_leaves_no_partial_object(
    serve: Serve, tmp_path: Path
) -> None:
    never = threading.Event()

    def bodies() -> Iterator[bytes]:
        yield b"begun"
        never.wait(30)

    def answer(request: Any) -> Reply:
        if request.path == "/quick.txt":
            return Reply(body=b"quick")
        return Reply(body=bodies())

    server = serve(answer)
    taken = 0

    def lines() -> Iterator[str]:
        nonlocal taken
        for number in range(100_000):
            taken = number
            yield f"{server.url}/{'quick' if number == 3 else number}.txt"

    results = scraper.run(lines(), to=str(tmp_path), max_concurrency=8)
    for result in results:
        assert result.target.line == 4
        break
    results.close()
    never.set()
    assert taken < 20_000
    assert server.total <= 9
    root = tmp_path / folder(server.url)
    assert [path.name for path in root.rglob("*") if path.is_file()] == ["quick.txt"]
    assert not list((tmp_path / ".scraper").glob("tmp/run-*"))
    records = parsed((tmp_path / ".scraper" / "manifest.jsonl").read_bytes())
    assert [record["line"] for record in records] == [4]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_concurrency": 0}, "max_concurrency must be a whole number, at least 1, not 0"),
        ({"nonsense": 1}, "unknown option nonsense"),
        ({"engnie": "curl"}, "unknown option engnie: did you mean engine?"),
        ({"engine": "crul"}, "engine 'crul' is not auto, threads or curl"),
        ({"resume": True, "retry_failed": True}, "resume and retry_failed contradict each other"),
        ({"max_failures": "many"}, "max_failures 'many' is not N or N%"),
        ({"max_failures": "--lock"}, "max_failures '--lock' is not N or N%"),
        ({"netrc": True}, "netrc: can't read"),
        ({"s3_endpoint": "e"}, "s3_endpoint 'e' is not an http(s) URL"),
        ({"to": "s3://"}, "to 's3://' names no bucket"),
        ({"headers": "A: b"}, "headers is one string: give a mapping"),
        ({"to": "gopher://x"}, "no sink for gopher://"),
        ({"key": "{host}"}, "gives every target one key"),
        ({"cacert": "nowhere.pem"}, "cacert 'nowhere.pem': No such file or directory"),
        ({"cacert": Path("nowhere.pem")}, "cacert 'nowhere.pem': No such file"),
        ({"max_size": "10 parsecs"}, "max_size must be a whole number"),
        ({"headers": ["no colon"]}, "headers 'no' is not 'Name: value'"),
        ({"headers": ["a colon: b", "A B: c"]}, "headers 'a' is not 'Name: value'"),
    ],
)
def test_a_bad_option_raises_at_once_and_nothing_is_written(
    options: dict[str, Any], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETRC", "nowhere")
    with pytest.raises(scraper.UsageError, match=r".+") as caught:
        scraper.run(["https://example.com/"], **options)
    assert said in str(caught.value)
    assert not str(caught.value).startswith("--")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("urls", ["https://example.com/", b"https://example.com/"])
def test_one_string_is_no_list(urls: Any, tmp_path: Path) -> None:
    with pytest.raises(scraper.UsageError, match=r"give a list of URLs, \[url\]"):
        scraper.run(urls, to=str(tmp_path))


def test_a_destination_that_can_not_be_used_raises_before_any_request(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve({"/a.txt": b"a"})
    (tmp_path / "file").touch()
    results = scraper.run([f"{server.url}/a.txt"], to=str(tmp_path / "file"))
    with pytest.raises(scraper.DestinationError, match="can't write to directory"):
        next(results)
    assert server.total == 0


def test_what_the_callers_iterable_raises_comes_through_after_what_it_gave(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve({"/a.txt": b"a"})

    def lines() -> Iterator[str]:
        yield f"{server.url}/a.txt"
        raise RuntimeError("the database went away")

    results = scraper.run(lines(), to=str(tmp_path))
    assert next(results).status == "stored"
    with pytest.raises(RuntimeError, match="the database went away"):
        next(results)
    assert len(parsed((tmp_path / ".scraper" / "manifest.jsonl").read_bytes())) == 1


def test_an_empty_list_yields_nothing(tmp_path: Path) -> None:
    assert list(scraper.run([], to=str(tmp_path))) == []


def test_nothing_happens_before_the_first_result_is_asked_for(serve: Serve, tmp_path: Path) -> None:
    server = serve({"/a.txt": b"a"})
    before = threading.active_count()
    results = scraper.run([f"{server.url}/a.txt"], to=str(tmp_path / "out"))
    assert (server.connections, list(tmp_path.iterdir())) == (0, [])
    assert threading.active_count() == before
    results.close()


def test_a_call_that_is_not_iterated_says_so(serve: Serve, tmp_path: Path) -> None:
    with pytest.warns(RuntimeWarning, match="never iterated"):
        scraper.run(["http://127.0.0.1:9/"], to=str(tmp_path / "out"))
    assert list(tmp_path.iterdir()) == []
    server = serve({"/a.txt": b"a"})
    with scraper.run([f"{server.url}/a.txt"], to=str(tmp_path / "out")):
        pass
    assert all(one.ok for one in scraper.run([f"{server.url}/a.txt"], to=str(tmp_path / "out")))


def test_two_runs_in_one_process_do_not_disturb_each_other(serve: Serve, tmp_path: Path) -> None:
    server = serve(lambda request: Reply(body=request.path.encode()))
    urls = [f"{server.url}/{number}.txt" for number in range(20)]
    one = scraper.run(urls, to=str(tmp_path / "one"), max_concurrency=2)
    two = scraper.run(urls, to=str(tmp_path / "two"), max_concurrency=2)
    pairs = list(zip(one, two, strict=True))
    assert {result.status for pair in pairs for result in pair} == {"stored"}


# ---------------------------------------------------------------- what a Result says


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_a_result_has_the_file_of_its_object(
    scheme: str, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = serve({"/a.txt": b"abc"})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    lines = [f"{server.url}/a.txt\tunder/ü name", f"{server.url}/gone", f"{server.url}/a.txt\tb"]
    results = scraper.run([*lines, lines[2]], to=f"{scheme}out/{{date:now}}")
    monkeypatch.chdir(tmp_path / "elsewhere")
    found = {result.target.line: result for result in results}
    assert found[1].path == tmp_path / "out" / "now" / "under" / "ü name"
    assert found[1].path.read_bytes() == b"abc"
    assert (found[1].url, found[1].size, found[1].ok) == (f"{server.url}/a.txt", 3, True)
    assert found[2].path is None
    assert found[2].error is not None
    assert found[2].error.http_code == 404
    assert found[3].path == found[4].path == tmp_path / "out" / "now" / "b"
    again = scraper.run(lines[:1], to=tmp_path / "out" / "now", resume=True)
    assert [(one.status, one.path) for one in again] == [("skipped", found[1].path)]


def test_a_result_is_the_manifests_record_as_a_dict(serve: Serve, tmp_path: Path) -> None:
    server = serve({"/a.txt": b"abc"})
    secret = server.url.replace("//", "//me:pass-word@")
    targets: list[Any] = [
        f"{secret}/a.txt?token=pass-word",
        {"url": f"{server.url}/gone", "headers": {"Authorization": "pass-word"}},
        "bad",
        f"{server.url}/a.txt\tb",
        f"{server.url}/a.txt\tb",
    ]
    results = scraper.run(targets, to=tmp_path)
    shown = {result.target.line: result.as_dict() for result in results}
    records = parsed((tmp_path / ".scraper" / "manifest.jsonl").read_bytes())
    ours = {"run", "identity"}
    assert shown == {
        record["line"]: {name: one for name, one in record.items() if name not in ours}
        for record in records
    }
    assert shown[1]["sha256"] == hashlib.sha256(b"abc").hexdigest()
    assert "pass-word" not in json.dumps(shown)


def test_the_summary_of_a_run_that_has_ended_does_not_change(serve: Serve, tmp_path: Path) -> None:
    server = serve({"/a.txt": b"abc"})
    results = scraper.run([f"{server.url}/a.txt"], to=tmp_path)
    for _ in results:
        assert results.summary.as_record()["targets"] == 1
    first = results.summary
    results.close()
    assert results.summary.as_record() == first.as_record()
    assert first.as_record()["bytes"] == 3
    failed = scraper.run([], to=tmp_path / "a.txt" / "b")
    (tmp_path / "a.txt").touch()
    with pytest.raises(scraper.DestinationError):
        next(failed)
    assert failed.summary.as_record()["targets"] == 0


def test_a_result_in_s3_has_no_file(
    serve: Serve, moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    server, bucket = serve({"/a.txt": b"abc"}), moto_server.make_bucket()
    urls = [f"{server.url}/a.txt"]
    (result,) = scraper.run(urls, to=f"s3://{bucket}/p", s3_endpoint=moto_server.url)
    assert (result.ok, result.size, result.path) == (True, 3, None)
    assert moto_server.read(bucket, f"p/{result.key}") == b"abc"


def test_the_error_of_a_result_has_options_as_python_names_them(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve({"/a.txt": b"abc"})
    (result,) = scraper.run([f"{server.url}/a.txt"], to=tmp_path, max_size=2)
    assert str(result.error) == "too_large: body is longer than max_size 2 bytes"


def test_a_run_is_left_at_the_end_of_its_with_and_has_a_summary(
    serve: Serve, tmp_path: Path
) -> None:
    server = serve(lambda request: Reply(body=b"x"))
    urls = (f"{server.url}/{number}" for number in range(100_000))
    with scraper.run(urls, to=tmp_path, max_concurrency=2) as results:
        for result in results:
            assert result.ok
            break
    assert list(results) == []
    assert server.total < 20_000
    assert results.summary.as_record()["targets"] >= 1
    assert results.summary.stopped == "the iteration was left"
    assert list(scraper.run([], to=tmp_path)) == []  # nobody holds it


def test_another_runs_destination_is_held(tmp_path: Path, serve: Serve) -> None:
    server = serve(lambda request: Reply(body=b"x"))
    with scraper.run([f"{server.url}/{n}" for n in range(9)], to=tmp_path) as results:
        next(results)
        with pytest.raises(scraper.Held, match="another run holds"):
            list(scraper.run([], to=tmp_path, lock="fail"))


# ---------------------------------------------------------------- names


def test_the_public_names_are_those_of_the_package(tmp_path: Path) -> None:
    assert {*scraper.__all__} <= {*dir(scraper)}
    for name in scraper.__all__:
        assert getattr(scraper, name) is not None
    everything: dict[str, Any] = {}
    exec("from scraper import *", everything)
    assert everything.keys() >= {*scraper.__all__}
    with pytest.raises(AttributeError, match="'scraper' has no attribute 'nonsense'"):
        _ = scraper.nonsense  # type: ignore[attr-defined]


def test_the_import_of_the_package_loads_nothing_but_its_version(cli: Command) -> None:
    code = "import sys; before = {*sys.modules}; import scraper; print(*{*sys.modules} - before)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        cwd=cli.directory,
        env=cli.environment,
        check=True,
    )
    loaded = {*ran.stdout.split()}
    ours = {name for name in loaded if name.partition(".")[0] == "scraper"}
    assert ours == {"scraper", "scraper.model", "scraper.model.version"}
    assert not loaded & {"asyncio", "logging", "orjson", "click", "dataclasses"}


def test_every_error_is_a_scraper_error() -> None:
    for error in (scraper.UsageError, scraper.ListError, scraper.DestinationError, scraper.Held):
        assert issubclass(error, scraper.ScraperError)


def test_the_example_in_the_packages_docstring_runs(cli: Command, serve: Serve) -> None:
    server = serve({"/a.txt": b"a"})
    example = [line for line in inspect.getdoc(scraper).split("\n") if line.startswith("    ")][:2]  # type: ignore[union-attr]
    code = "import scraper\n" + "\n".join(line.removeprefix("    ") for line in example)
    code = code.replace("https://example.com/", f"{server.url}/a.txt")
    ast.parse(code)
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        cwd=cli.directory,
        env=cli.environment,
        check=False,
    )
    assert (ran.stdout, ran.stderr) == (f"stored {folder(server.url)}/a.txt\n", "")
    assert cli.files() == {f"{folder(server.url)}/a.txt": b"a"}
