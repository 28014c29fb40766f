"""What a run holds: opened in order, and let go of whatever happens."""

import json
import math
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from scraper.model.errors import DestinationError, Held, Kind, UsageError
from scraper.model.records import Failed, Failure, Result, Target
from scraper.model.settings import RunLimits, Settings
from scraper.run.resources import RunResources
from scraper.sinks.mutex import MUTEX_PREFIX
from scraper.sinks.process_identity import own_process
from scraper.transfer.quota import Quota
from tests.e2e.watch import until
from tests.run.test_loop import make_run
from tests.s3servers import S3Server
from tests.servers import WAIT_S

NO_LIMIT = Quota(RunLimits(), 0.0, None)


def resources(to: Path, **options: Any) -> RunResources:
    return RunResources(Settings.of(to=to, lock="fail", **options), str(to), "run")


def open_(one: RunResources, quota: Quota = NO_LIMIT) -> None:
    one.open(quota, lambda _reason: None, lambda _level, _name, _record: None)


def open_files() -> Counter[str]:
    """The paths of files that this process has open, and how often."""
    paths = []
    for fd in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # it is closed meanwhile
            paths.append(os.readlink(f"/proc/self/fd/{fd}"))
    return Counter(path for path in paths if path.startswith("/"))


def is_free(to: Path) -> bool:
    """Whether nobody holds it: nothing of it is open, and another may have it."""
    if any(path.startswith(f"{to}/") for path in open_files()):
        return False
    one = resources(to)
    open_(one)
    one.close(lambda: math.inf, whole=False)
    return True


def test_it_is_held_until_it_is_let_go(tmp_path: Path) -> None:
    one = resources(tmp_path)
    assert not list(tmp_path.iterdir()), "nothing is touched before"
    open_(one)
    with pytest.raises(Held):
        open_(resources(tmp_path))
    one.close(lambda: math.inf, whole=True)
    assert is_free(tmp_path)


def test_who_withdraws_takes_back_the_flag_that_others_would_wait_for(
    moto_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in moto_server.credentials.items():
        monkeypatch.setenv(name, value)
    bucket = moto_server.make_bucket()
    start, to = f"pages/{MUTEX_PREFIX}", f"s3://{bucket}/pages"
    other = f"{start}z-1"  # greater than ours: the run waits with its flag up
    said = json.dumps({"run": "z", **own_process()}).encode()
    moto_server.client.put_object(Bucket=bucket, Key=other, Body=said)

    def flags() -> set[str]:
        return {key for key in moto_server.keys(bucket) if key.startswith(start)}

    settings = Settings.of(to=to, lock="wait", s3_endpoint=moto_server.url)
    one = RunResources(settings, to, "run")
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(open_, one)
        until(lambda: len(flags()) == 2 or opening.done())
        assert not opening.done()
        one.withdraw()
        assert opening.exception(WAIT_S) is not None
        until(lambda: flags() == {other})


def test_a_disk_that_is_too_full_is_seen_before_the_lock_is_waited_for(tmp_path: Path) -> None:
    one, full = resources(tmp_path), Quota(RunLimits(min_free_space=1 << 62), 0.0, tmp_path)
    open_(one)
    with pytest.raises(DestinationError, match="--min-free-space"):
        open_(resources(tmp_path), full)
    one.close(lambda: math.inf, whole=False)
    assert is_free(tmp_path)


@pytest.mark.parametrize(
    ("manifest", "resume", "error"),
    [("/dev/null", True, UsageError), ("/dev/null/no", False, DestinationError)],
    ids=["that can not be read", "that can not be written"],
)
def test_a_manifest_that_is_of_no_use_lets_go_of_the_rest(
    manifest: str, resume: bool, error: type[Exception], tmp_path: Path
) -> None:
    before = open_files()
    with pytest.raises(error):
        open_(resources(tmp_path, manifest=manifest, resume=resume))
    assert not open_files() - before
    assert is_free(tmp_path)


def test_a_manifest_that_can_not_be_closed_lets_go_of_the_rest(tmp_path: Path) -> None:
    one = resources(tmp_path, manifest="/dev/full")
    open_(one)
    target = Target("http://a/", "http://a/", "a", "a", 1, "list")
    one.store(Result(target, Failed(Failure(Kind.CONNECT, "refused"))))
    with pytest.raises(DestinationError):
        one.close(lambda: math.inf, whole=True)
    assert is_free(tmp_path)


def test_an_engine_that_can_not_be_made_lets_go_of_everything(tmp_path: Path) -> None:
    with make_run(["no URL"], tmp_path) as run:
        assert [result.status for result in run] == ["failed"]
    run = make_run([], tmp_path, resume=True)

    def unable() -> Any:
        raise UsageError("no engine")

    run._make_engine = unable  # type: ignore[assignment]
    with pytest.raises(UsageError, match="no engine"):
        run.__enter__()
    assert not run.begun
    assert is_free(tmp_path)
