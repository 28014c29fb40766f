"""The reply path, fuzzed: no reply crashes or hangs an engine, or is stored for what it is not.

    FUZZ_SEEDS=5000 FUZZ_FIRST=70000 pytest tests/hostile/test_fuzz.py     # a long run

Every reply comes from an address of its own, so that what is left of one can't be taken for
another. A failure names the seed; `make_reply(seed).whole` is what was sent.
"""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from scraper.model.errors import Kind
from scraper.model.records import Failed, NotModified, Stored
from scraper.model.settings import Http, Limits
from scraper.transfer.completion import InPart
from scraper.transfer.transfer import Transfer
from tests.conformance.engine_bench import ENGINES, Bench
from tests.hostile.replies import Unclear, judged, make_reply
from tests.servers import WAIT_S, RawServer, read_head, reset, silent

SEEDS = int(os.environ.get("FUZZ_SEEDS", "400"))
FIRST = int(os.environ.get("FUZZ_FIRST", "0"))
BATCH = 200
AT_ONCE = 16
LIMITS = Limits(
    connect_timeout=WAIT_S,
    read_timeout=2.0,
    max_time=WAIT_S,
    max_size=10_000_000,
    max_redirects=0,  # a spoiled Location may lead anywhere
)


def serve(number: int, sock: socket.socket) -> None:
    """To `/7` the reply of seed 7."""
    head = read_head(sock)
    if not head:
        return
    sent = make_reply(int(head.split()[1][1:]))
    for piece in sent.pieces:
        sock.sendall(piece)
    if sent.ending == "stays":
        silent(number, sock)
    elif sent.ending == "resets":
        reset(sock)


@pytest.fixture(scope="module")
def server() -> Iterator[RawServer]:
    """At as many addresses as there are replies in a batch."""
    with RawServer(serve, [f"127.0.1.{number}" for number in range(1, BATCH + 1)]) as made:
        yield made


def fetched(made: Bench, server: RawServer, seeds: Sequence[int]) -> dict[int, Transfer]:
    """What has become of each of these, a few at a time."""
    waiting = {server.urls[seed % BATCH]: seed for seed in seeds}
    ended: dict[int, Transfer] = {}
    running = 0
    while waiting or running:
        while waiting and running < AT_ONCE:
            url, seed = waiting.popitem()
            made.start(f"{url}/{seed}")
            running += 1
        some = made.engine.poll(2 * WAIT_S)
        assert some, f"hangs: {seeds}"
        for transfer in some:
            ended[int(transfer.attempt.target.url.rpartition("/")[2])] = transfer
            running -= 1
    return ended


def outcome_of(transfer: Transfer) -> Stored | NotModified | Failed:
    assert transfer.completion is not None
    assert not isinstance(transfer.completion.outcome, InPart)
    return transfer.completion.outcome


def timed_out(transfer: Transfer) -> bool:
    outcome = outcome_of(transfer)
    return isinstance(outcome, Failed) and outcome.failure.kind is Kind.TIMEOUT


def stays(seed: int) -> bool:
    """Whether the server keeps the connection after its reply, and says no more."""
    return make_reply(seed).ending == "stays"


def what_is_wrong(made: Bench, transfer: Transfer, seed: int, engine: str) -> str | None:
    """Nothing, if it is stored for what it is, or refused with reason."""
    sent = make_reply(seed)
    body, strict = None, False
    with suppress(Unclear):
        body, strict = judged(sent.whole, bare_lf=engine != "threads")
    match outcome_of(transfer):
        case Stored():
            return None if made.body(transfer) == body else "stored for what it is not"
        case Failed(failure):
            if "internal error" in failure.message:
                return failure.message
            refused = strict and sent.ending == "closes"
            return f"refused, though whole: {failure.message}" if refused else None
        case NotModified():
            return "not modified, which nobody had asked"


@pytest.mark.parametrize("first", range(FIRST, FIRST + SEEDS, BATCH))
@pytest.mark.parametrize("engine", ENGINES)
def test_every_reply_has_one_end_and_is_stored_for_what_it_is(
    engine: str, first: int, server: RawServer, tmp_path: Path
) -> None:
    seeds = range(first, min(first + BATCH, FIRST + SEEDS))

    def are_whole(made: Bench, ended: dict[int, Transfer]) -> list[Transfer]:
        """Those that are stored; they are as they should be, and so are the others."""
        wrong = {
            seed: why
            for seed, transfer in ended.items()
            if (why := what_is_wrong(made, transfer, seed, engine))
        }
        assert not wrong, f"seeds of tests/hostile/replies.py: {wrong}"
        stored = [one for one in ended.values() if isinstance(outcome_of(one), Stored)]
        assert len(made.leftovers) == len(stored)
        return stored

    with ExitStack() as stack:

        def bench(name: str, limits: Limits) -> Bench:
            root = tmp_path / name
            made = Bench(ENGINES[engine], root, limits, Http(), max_concurrency=AT_ONCE)
            stack.callback(made.close)
            return made

        made = bench("out", LIMITS)
        ended = fetched(made, server, seeds)
        assert sorted(ended) == list(seeds)
        # Whose reply ends by itself was late, as the machine is busy: it gets more time.
        late = [seed for seed in seeds if timed_out(ended[seed]) and not stays(seed)]
        patient = bench("late", replace(LIMITS, read_timeout=WAIT_S))
        again = fetched(patient, server, late)
        on_time = {seed: ended[seed] for seed in seeds if seed not in again}
        stored = are_whole(made, on_time) + are_whole(patient, again)
        assert len(seeds) // 10 < len(stored) < len(seeds) // 2  # not all spoiled alike
