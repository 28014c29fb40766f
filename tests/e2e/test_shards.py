"""`--shard I/N`: shards into one destination are as one run, on a directory and on a bucket."""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

import pytest

import scraper
from scraper.manifest import lines_from
from scraper.manifest.known import write_known
from scraper.model.errors import Held
from scraper.model.settings import S3
from scraper.model.shards import Shard
from scraper.run.result import Result
from scraper.sinks.base import ReadableSink, SinkOptions, find_sink
from scraper.sinks.plans import Plan
from scraper.sinks.shard_lists import ListsOfPlan
from tests.e2e.command import Command, Ran, without_reader
from tests.e2e.places import Bucket, Directory, Place
from tests.e2e.twelve_hosts import HOSTS, twelve_hosts
from tests.servers import HttpFarm, Reply, Request

SAME = ("line", "url", "key", "status", "size", "sha256", "of_line")


@pytest.fixture
def site() -> Iterator[HttpFarm]:
    with twelve_hosts() as farm:
        yield farm


def urls_of(site: HttpFarm) -> list[str]:
    """A list with lines of each kind."""
    origins = [f"http://{host}:{site.port}" for host in HOSTS]
    pages = [f"{origin}/a/{page}.html" for page in range(2) for origin in origins]
    odd = [
        "no url",
        "",
        "# a comment",
        f"{origins[2]}/gone",
        f"{origins[0]}:x/",
        "http://256.1.1.1/",
    ]
    own = f"{origins[3].replace('http://', '').replace(':', '_http_')}/mine.html"
    keys = [f"{origins[3]}/x\t{own}", f"{origins[4]}/taken\t{own.replace('.4_', '.5_')}"]
    clash = f"{origins[4]}/another\t{own.replace('.4_', '.5_')}"
    others = [f'{{"url": "{origins[5]}/json?q=1"}}', f"{origins[6]}/token?token=s3cr3t&x=1"]
    return [*pages, *odd, *pages[:5], *keys, clash, *others]


class Destination:
    """A place for programs in Python: itself, or what is called `name` in it."""

    def __init__(self, place: Place, name: str, patch: pytest.MonkeyPatch) -> None:
        self.options: dict[str, Any] = {}
        if isinstance(place, Bucket):
            _, self.to, *endpoint = place.words
            if endpoint:
                self.options["s3_endpoint"] = endpoint[1]
            for variable, value in place.environment.items():
                patch.setenv(variable, value)
        else:
            assert isinstance(place, Directory)
            self.to = str(place.cli.directory / place.name)
        self.to += f"/{name}" if name else ""

    def run(self, urls: Sequence[object], **options: Any) -> list[Result]:
        """Runs that begin at once are told to come again: moto answers 500 to two puts of a key."""
        return list(scraper.run(urls, to=self.to, **self.options, **options))  # type: ignore[arg-type]

    def shards(self, urls: Sequence[object], of: int, **options: Any) -> list[Result]:
        """All shards, at once."""
        told: list[Result] = []

        def run(number: int) -> None:
            told.extend(self.run(urls, shard=f"{number}/{of}", max_concurrency=4, **options))

        together(*[lambda number=number: run(number) for number in range(of)])
        return told

    @contextmanager
    def sink(self) -> Iterator[ReadableSink]:
        options = SinkOptions(s3=S3(endpoint=self.options.get("s3_endpoint")))
        with closing(find_sink(self.to, options)) as sink:
            assert isinstance(sink, ReadableSink)
            sink.reach()
            yield sink

    def objects(self) -> dict[str, bytes]:
        with self.sink() as sink:
            keys = sorted(key for key in sink.keys("") if not key.startswith(".scraper/"))
            return {key: b"".join(sink.read(key)) for key in keys}

    def own(self) -> set[str]:
        with self.sink() as sink:
            return {key for key in sink.keys("") if key.startswith(".scraper/")}

    def records(self) -> list[dict[str, Any]]:
        with self.sink() as sink:
            return [json.loads(line) for line in lines_from(None, self.to, sink)()]  # type: ignore[arg-type]


def together(*works: Callable[[], object]) -> None:
    """Do all of them, each in a thread. Raises the first error."""
    errors: list[BaseException] = []

    def caught(work: Callable[[], object]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is raised below
            errors.append(error)

    threads = [threading.Thread(target=caught, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def account(records: Sequence[dict[str, Any]]) -> Counter[str]:
    return Counter(json.dumps({name: one.get(name) for name in SAME}) for one in records)


def statuses(told: Sequence[Result]) -> Counter[str]:
    return Counter(one.status for one in told)


@pytest.fixture
def make(place: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Destination]:
    return lambda name: Destination(place, name, monkeypatch)


def test_eight_shards_are_as_one_run(make: Callable[[str], Destination], site: HttpFarm) -> None:
    urls, one, eight = urls_of(site), make("one"), make("eight")
    whole = one.run(urls)
    asked = Counter(site.hits)
    site.hits.clear()
    told = eight.shards(urls, 8)
    assert statuses(told) == statuses(whole) == Counter(stored=28, duplicate=5, failed=5)
    assert site.hits == asked
    assert eight.objects() == one.objects()
    assert account(eight.records()) == account(one.records())
    done = {f".scraper/plans/0001-of-8/shard-{number}/done.json" for number in range(8)}
    assert done <= eight.own()


def test_what_shards_stored_is_never_asked_for_again(
    make: Callable[[str], Destination], site: HttpFarm
) -> None:
    urls, place = urls_of(site), make("a")
    place.run(urls[:10])
    place.shards(urls, 3, resume=True)
    assert site.hits["/gone"] == 1
    before = site.total
    objects = place.objects()
    for of in (3, 2, 1):
        assert statuses(place.shards(urls, of, resume=True))["skipped"] == 28
    plans = {key.split("/")[2] for key in place.own() if "/shard-" in key}
    assert plans == {"0001-of-3", "0002-of-2", "0003-of-1"}
    told = place.run(urls, resume=True)
    assert statuses(told)["skipped"] == 28
    assert site.total - before == 4  # the page that is gone, in each of the four
    assert place.objects() == objects
    assert not [key for key in place.own() if "shard-" in key]
    assert statuses(place.run(urls, resume=True))["skipped"] == 28
    assert statuses(place.shards(urls, 2, resume=True))["skipped"] == 28


def test_others_are_kept_out_while_a_shard_is_fetched(
    make: Callable[[str], Destination], site: HttpFarm
) -> None:
    place, goes_on = make("a"), threading.Event()
    urls = [f"http://127.0.0.{number}:{site.port}/a" for number in range(1, 13)]
    answer = site.handler
    site.handler = lambda request: (goes_on.wait(60), answer(request))[1]
    first = threading.Thread(target=lambda: place.run(urls, shard="0/2"))
    first.start()
    try:
        site.wait_until(lambda: site.in_flight > 0)
        for options in ({}, {"shard": "0/3"}, {"shard": "2/3"}, {"shard": "0/2"}):
            with pytest.raises(Held):
                place.run(urls, **options)
    finally:
        goes_on.set()
        first.join()
    assert statuses(place.run(urls, shard="1/2"))["stored"] > 0
    assert site.total == 12
    assert statuses(place.run(urls, resume=True, lock="wait")) == Counter(skipped=12)


def test_a_shard_waits_for_a_run_and_a_run_for_shards(
    make: Callable[[str], Destination], site: HttpFarm
) -> None:
    place = make("a")
    urls = [f"http://127.0.0.{number}:{site.port}/a" for number in range(1, 13)]
    shards = [f"{number}/2" for number in range(2)]
    together(
        lambda: place.run(urls, resume=True, lock="wait"),
        *(
            lambda shard=shard: place.run(urls, resume=True, lock="wait", shard=shard)
            for shard in (*shards, "0/1")
        ),
    )
    assert site.total == 12
    assert statuses(place.run(urls, resume=True))["skipped"] == 12


@pytest.fixture
def look(cli: Command, place: Place) -> Callable[..., Ran]:
    """A command that looks at the place."""
    return lambda command, *words: cli(command, *place.words[1:], *words, env=place.environment)


def test_commands_read_all_shards_as_one_run(
    make: Callable[[str], Destination], look: Callable[..., Ran], cli: Command, site: HttpFarm
) -> None:
    urls, place = urls_of(site), make("")
    place.run(urls, shard="0/2")
    early = look("status", "--json")
    facts = json.loads(early.out)
    half = {"of": 2, "done": 1, "not_done": [1], "running": []}
    assert (early.status, facts["shards"], facts["done"]) == (3, half, False)
    place.run(urls, shard="1/2")
    ended = look("status")
    assert ended.status == 1  # a page is gone
    assert "2 of 2 done\n" in ended.out
    assert "28 stored" in ended.out
    failed = [line.split("\t")[4] for line in look("failed", "--format", "tsv").lines]
    assert Counter(failed) == Counter(kind=1, http_status=1, bad_url=4)
    assert sorted(look("list", "--format", "keys").lines) == sorted(place.objects())
    assert look("verify").status == 0
    cli.write("left.txt", *urls[:20])
    pruned = look("list", "--unlisted", "left.txt", "--prune", "--yes", "--format", "keys")
    assert (pruned.status, len(pruned.lines)) == (0, 8)
    assert len(place.objects()) == 20
    assert not [key for key in place.own() if "/shard-" in key]
    assert Counter(one["status"] for one in place.records())["pruned"] == 8


def test_an_export_of_all_shards_is_that_of_one_run(
    make: Callable[[str], Destination], look: Callable[..., Ran], site: HttpFarm
) -> None:
    urls, place = urls_of(site), make("")
    place.run(urls)
    one = {kind: look("export", "--format", kind).lines for kind in ("jsonl", "sha256sum", "csv")}
    place.run(urls, shard="0/3", resume=True)  # what is there is taken over
    for shard in ("1/3", "2/3"):
        place.run(urls, shard=shard)
    for kind, before in one.items():
        after = look("export", "--format", kind).lines
        assert len(after) == len(before)
        if kind == "jsonl":
            assert account(list(map(json.loads, after))) == account(list(map(json.loads, before)))
        if kind == "sha256sum":
            assert sorted(after) == sorted(before)


def test_a_shard_that_was_killed_is_not_done_and_goes_on(
    make: Callable[[str], Destination],
    look: Callable[..., Ran],
    cli: Command,
    place: Place,
    site: HttpFarm,
) -> None:
    urls = [f"http://{host}:{site.port}/{page}" for page in "abcd" for host in HOSTS]
    to, words = make(""), ("urls.txt", "--shard", "0/1", "--no-refresh", "-q", *place.words)
    cli.write("urls.txt", *urls)
    to.run(urls, shard="0/1")
    assert look("status").status == 0
    goes_on, answer = threading.Event(), site.handler
    site.handler = lambda request: (goes_on.wait(60), answer(request))[1]
    with cli.start(*words, env=place.environment) as process:
        site.wait_until(lambda: site.in_flight > 0)
        assert json.loads(look("status", "--json").out)["shards"]["running"] == [0]
        process.kill()
        process.wait()
    goes_on.set()
    assert look("status").status == 3
    assert statuses(to.run(urls, shard="0/1", resume=True)) == Counter(skipped=48)
    assert look("status").status == 0


def test_who_was_refused_takes_nothing_from_the_shards_that_run(
    make: Callable[[str], Destination],
    look: Callable[..., Ran],
    cli: Command,
    place: Place,
    site: HttpFarm,
) -> None:
    urls = [f"http://{host}:{site.port}/{page}" for page in "ab" for host in HOSTS]
    to, killed, goes_on = make(""), threading.Event(), threading.Event()
    cli.write("urls.txt", *urls)
    answer, asked = site.handler, set[bool]()

    def wait(request: Request) -> Reply | None:
        of_first = Shard(0, 3).has(request.headers["host"])
        asked.add(of_first)
        (killed if of_first else goes_on).wait(60)
        return answer(request)

    site.handler = wait
    second = threading.Thread(target=lambda: to.run(urls, shard="1/3"))
    with cli.start("urls.txt", "--shard", "0/3", "-q", *place.words, env=place.environment) as run:
        second.start()
        site.wait_until(lambda: asked == {True, False})
        run.kill()
        run.wait()
    killed.set()
    try:
        with pytest.raises(Held):
            to.run(urls, shard="0/4")
        assert statuses(to.run(urls, shard="0/3", resume=True))["stored"] > 0
    finally:
        goes_on.set()
        second.join()
    to.run(urls, shard="2/3")
    assert "3 of 3 done\n" in (ended := look("status")).out
    assert ended.status == 0
    assert {key.split("/")[2] for key in to.own() if "/shard-" in key} == {"0001-of-3"}


def test_shards_that_are_not_done_are_not_forgotten(
    make: Callable[[str], Destination],
    look: Callable[..., Ran],
    cli: Command,
    place: Place,
    site: HttpFarm,
) -> None:
    urls, to = urls_of(site), make("")
    to.run(urls, shard="0/2")
    left = json.loads(look("status", "--json").out)
    assert left["again"].startswith("(the same list) | scraper - --resume --shard 1/2 ")
    cli.write("left.txt", *urls[:20])
    for words in (
        ("--retry-failed",),
        ("left.txt", "--retry-failed"),
        ("verify", "--repair"),
        ("list", "--unlisted", "left.txt", "--prune", "--yes"),
    ):
        is_run = words[0] not in {"verify", "list"}
        where = place.words if is_run else [*words[1:], *place.words[1:]]
        ran = cli(*(words if is_run else words[:1]), *where, env=place.environment)
        assert ran.status == 2, words
        assert "1 of 2 shards are not done, such as 1/2" in ran.err
        assert json.loads(look("status", "--json").out) == left
    to.run(urls, shard="1/2")
    assert cli("--retry-failed", *place.words, env=place.environment).status == 0
    assert not [key for key in to.own() if "/shard-" in key]


def test_a_run_of_the_whole_removes_plans_without_records(
    make: Callable[[str], Destination], look: Callable[..., Ran], site: HttpFarm
) -> None:
    urls, place = [f"http://{host}:{site.port}/a" for host in HOSTS], make("")
    place.shards(urls, 3)
    assert set(statuses(place.run(urls, shard="1/2", resume=True))) == {"skipped"}
    assert look("status").status == 3  # shard 0/2 never ran
    assert statuses(place.run(urls, resume=True)) == Counter(skipped=12)
    assert not [key for key in place.own() if "/shard-" in key]
    assert look("status").status == 0


def test_a_plan_that_was_killed_makes_no_shard_forget_what_was_stored(
    make: Callable[[str], Destination], site: HttpFarm
) -> None:
    urls, to = urls_of(site), make("")
    to.run(urls)
    found = find_sink(to.to, SinkOptions(s3=S3(endpoint=to.options.get("s3_endpoint"))))
    with closing(found) as sink, ListsOfPlan(sink, to.to, Plan(1, 2)) as lists:
        sink.check()
        write_known((), lambda _: 0, lists)  # some were read, and nothing says that it was all
        lists.finish()
    before = site.total
    told = [one for n in range(2) for one in to.run(urls, shard=f"{n}/2", resume=True)]
    assert statuses(told)["stored"] == 0
    assert statuses(told)["skipped"] > 24
    assert site.total - before == site.hits["/gone"] - 1


def test_what_does_the_rest_of_a_shard_that_was_stopped_makes_it_done(
    cli: Command, site: HttpFarm
) -> None:
    urls = [f"http://{host}:{site.port}/gone{page}" for page in range(9) for host in HOSTS]
    cli.write("urls.txt", *urls)
    for to, option in (("one", "--fail-fast"), ("two", "--max-run-time 0.5")):
        words = f"urls.txt --to {to} --shard 0/1 --delay 0.2 -q"
        ran = cli(*words.split(), *option.split())
        assert ran.status == 1, ran.err
        (file,) = (cli.directory / to).glob("**/summary.json")
        again = json.loads(file.read_text())["again"]
        assert again == f"scraper {words} {option} --resume"
        assert "0 of 1 done" in cli("status", to).out
        cli(*again.replace(f"{option} ", "").replace("--delay 0.2 ", "").split()[1:])
        assert "1 of 1 done" in cli("status", to).out


def test_a_dry_run_shows_the_lines_of_the_shard(cli: Command, site: HttpFarm) -> None:
    urls = [f"http://127.0.0.{number}:{site.port}/a" for number in range(1, 13)]
    cli.write("urls.txt", *urls, "no url")
    shown = [cli("urls.txt", "--dry-run", "--shard", f"{number}/2") for number in range(2)]
    assert sorted(line.split("\t")[0] for ran in shown for line in ran.lines) == sorted(urls)
    assert [ran.status for ran in shown] == [1, 0]
    assert site.total == 0


def test_each_shard_tells_its_own_bad_lines(cli: Command, site: HttpFarm) -> None:
    urls = [f"http://{host}:{site.port}/a" for host in HOSTS]
    cli.write("urls.txt", *urls, "no url", "another one")
    words = ("--to", "out", "--shard")
    for number in range(3):
        cli("urls.txt", *words, f"{number}/3")
    again = [cli("--retry-failed", "--all", *words, f"{number}/3") for number in range(3)]
    assert [ran.status for ran in again] == [1, 0, 0]
    assert "2 left out, since they name no target" in again[0].err
    assert [text for ran in again[1:] for text in ran.errors if "left out" in text] == []


def test_a_shard_without_hosts_calls_no_list_empty(cli: Command, site: HttpFarm) -> None:
    cli.write("one.txt", f"http://127.0.0.1:{site.port}/a")
    said = [cli("one.txt", "--to", "out", "--shard", f"{number}/2").err for number in range(2)]
    empty = [text for text in said if "0 targets" in text]
    assert len(empty) == 1
    number = said.index(empty[0])
    assert f"0 targets: no line of the list is in shard {number}/2, nothing to do" in empty[0]


def test_what_shards_refuse_is_told_before_anything_is_written(cli: Command) -> None:
    ran = cli("http://127.0.0.1:1/", "--shard", "0/2", "--max-total-size", "1M")
    assert ran.status == 2
    assert "--max-total-size" in ran.complaints[0]
    assert cli.wrote == []


@pytest.mark.parametrize("where", [".scraper/plans", ".scraper/plans/0001-of-2"])
def test_a_link_that_was_planted_is_not_followed(where: str, cli: Command, site: HttpFarm) -> None:
    elsewhere = cli.directory / "elsewhere"
    elsewhere.mkdir()
    link = cli.directory / "out" / where
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    for shard in ("0/2", "1/2"):
        ran = cli(f"http://127.0.0.1:{site.port}/a", "--shard", shard)
        assert ran.status == 3
        assert "is a link" in ran.err
    assert list(elsewhere.iterdir()) == []
    assert site.total == 0


def test_a_reader_that_leaves_does_not_change_what_the_status_says(cli: Command) -> None:
    cli.write("urls.txt", "http://a.example/", "http://b.example/")
    assert cli("plan", "urls.txt", "--to", "out", "--shards", 2).status == 0
    for words in ((), ("--json",)):
        assert without_reader(cli, "status", "out", *words).status == 3
