"""The simulation of `python -m tests.scale`, small: no plan is impolite, and planning pays."""

import pytest

from scraper.schedule.shard_plan import Pace
from tests.scale import __main__ as command
from tests.scale import world as worlds
from tests.scale.cluster import Cluster, Setup
from tests.scale.judge import Judge
from tests.scale.plans import Plan, by_hash, plans
from tests.scale.world import World

SETUP = Setup(
    workers=10,
    slots=4,
    per_host=2,
    delay_s=0.0,
    dispatch_s=0.002,
    lasts_s=60.0,
    lease_s=20.0,
    forgotten_s=5.0,
    restart_s=1.0,
)
AT_ONCE = 4
THREADS = 2
Found = dict[str, tuple[Plan, Judge, Cluster]]


@pytest.fixture(scope="module")
def world() -> World:
    return worlds.make(urls=4_000, hosts=400, zipf=1.0, most=250, seed=1)


def worked_off(world: World, plan: Plan, setup: Setup = SETUP) -> tuple[Judge, Cluster]:
    judge = Judge(world.lines, setup.per_host, setup.delay_s)
    cluster = Cluster(world, plan, setup, judge, seed=1)
    cluster.run()
    return judge, cluster


def plans_of(world: World, setup: Setup = SETUP) -> list[Plan]:
    pace = Pace(setup.slots, setup.per_host, setup.delay_s, 0.2)
    return list(plans(world, pace, setup.workers, AT_ONCE, THREADS))


@pytest.fixture(scope="module")
def found(world: World) -> Found:
    """What became of each plan."""
    return {plan.name: (plan, *worked_off(world, plan)) for plan in plans_of(world)}


def test_each_plan_asks_for_each_url_once_and_politely(found: Found) -> None:
    for plan, judge, cluster in found.values():
        assert judge.is_complete, plan.name
        assert judge.violations == 0, plan.name
        if plan.has_losses:
            assert cluster.lost > 0
            assert judge.asked_twice > 0
        else:
            assert judge.asked_twice == 0, plan.name


def test_delays_hold_over_workers_that_are_lost(world: World) -> None:
    setup = SETUP._replace(delay_s=0.05, per_host=1)
    judge, cluster = worked_off(world, plans_of(world, setup)[-1], setup)
    assert judge.is_complete
    assert (judge.violations, cluster.lost > 0) == (0, True)


def test_nothing_but_what_was_in_flight_is_asked_twice_where_no_record_is_lost(
    world: World,
) -> None:
    judge, cluster = worked_off(world, plans_of(world)[-1], SETUP._replace(forgotten_s=0.0))
    assert judge.is_complete
    assert 0 < judge.asked_twice <= cluster.lost * SETUP.slots


def test_the_plan_is_nearer_to_the_ideal_than_the_hash(found: Found) -> None:
    _, hashed, _ = found["hash, one shard a worker (`--shard`)"]
    _, planned, _ = found["**2 open, each with its part of the slots (`--cluster`)**"]
    assert planned.end_s < hashed.end_s
    assert planned.most_done_s < hashed.most_done_s


def test_no_plan_beats_the_ideal(world: World, found: Found) -> None:
    work_s, slowest_s = command.bounds(world, SETUP)
    for _, judge, _ in found.values():
        assert judge.end_s >= max(work_s, slowest_s) - 1e-6


def test_a_host_in_two_shards_is_found(world: World) -> None:
    shards = by_hash(world, SETUP.workers)
    judge, _ = worked_off(world, Plan("impolite", [*shards, shards[0]], AT_ONCE))
    assert judge.violations > 0
    assert not judge.is_complete


def test_a_lease_that_ends_too_early_breaks_the_delay(world: World) -> None:
    """The requests of a lost worker are gone with it, and the time of the last one too."""
    setup = SETUP._replace(delay_s=0.5, lease_s=0.0, restart_s=0.0, lasts_s=5.0, forgotten_s=0.0)
    judge, _ = worked_off(world, plans_of(world, setup)[-1], setup)
    assert judge.violations > 0


@pytest.mark.parametrize(
    ("urls", "hosts", "most"), [(1_000, 100, 1_000), (1_000, 100, 20), (7, 7, 1)]
)
def test_lines_follow_zipf(urls: int, hosts: int, most: int) -> None:
    lines = worlds.by_zipf(urls, hosts, 1.0, most)
    assert sum(lines) == urls
    assert len(lines) == hosts
    assert 1 <= min(lines) <= max(lines) <= most
    assert lines == sorted(lines, reverse=True)


def test_the_sums_of_a_world_are_those_of_its_requests(world: World) -> None:
    for host in (0, 1, 67, 399):  # one of them goes round the table of factors
        each = sum(world.answer_s(host, number) for number in range(world.lines[host]))
        assert world.work_s(host) == pytest.approx(each)


def test_the_command_prints_a_row_for_each_plan(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--urls", "2_000", "--most", "200", "--workers", "10", "--lasts", "20"]
    assert command.main(words) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + 7
    assert {row.count("|") for row in rows} == {rows[0].count("|")}
    assert {row.split("|")[-3].strip() for row in rows[2:]} == {"0"}
