"""The examples of docs/shards.md, run as their schedulers run them: one process for each index.

What is left to the scheduler itself (which pod is replaced, which task is submitted again) is held
by words only: the fields that ask for it are there.
"""

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from tests.e2e.command import WAIT_S, Command, program
from tests.e2e.dask import Cluster
from tests.s3servers import S3Server
from tests.servers import HttpFarm, Reply

PAGE = Path(__file__).parent.parent.parent / "docs/shards.md"
HOSTS = tuple(f"127.0.0.{number}" for number in range(1, 9))


def block(language: str, having: str = "") -> str:
    """The block of that language, with these words in it."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (found,) = (text for text in blocks if having in text)
    assert isinstance(found, str)
    return found


def run_each(
    cli: Command, commands: Sequence[Sequence[str]], more: Sequence[Mapping[str, str]]
) -> list[subprocess.CompletedProcess[str]]:
    """Run all at once, each with more variables, where the program is found."""
    path = f"{Path(program()[0]).parent}:{cli.environment['PATH']}"

    def run(command: Sequence[str], env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=cli.directory,
            env={**cli.environment, "PATH": path, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )

    with ThreadPoolExecutor(len(commands)) as pool:
        return list(pool.map(run, commands, more))


@pytest.fixture
def site() -> Iterator[HttpFarm]:
    with HttpFarm({"/a": Reply(body=b"a")}, HOSTS) as farm:
        yield farm


@pytest.fixture
def ready(cli: Command, site: HttpFarm) -> Command:
    cli.write("urls.txt", *(f"http://{host}:{site.port}/a" for host in HOSTS))
    return cli


def test_the_kubernetes_job(ready: Command, site: HttpFarm, moto_server: S3Server) -> None:
    job = yaml.safe_load(block("yaml"))
    spec = job["spec"]
    assert (job["kind"], spec["completionMode"]) == ("Job", "Indexed")
    assert spec["podReplacementPolicy"] == "Failed"
    assert spec["backoffLimitPerIndex"] > 0
    assert spec["template"]["spec"]["restartPolicy"] == "Never"  # as backoffLimitPerIndex asks
    (container,) = spec["template"]["spec"]["containers"]
    (script,) = container["args"]
    assert script.endswith(f'/{spec["completions"]}"')
    bucket = moto_server.make_bucket()
    script = script.replace("/lists/", "").replace("s3://my-bucket", f"s3://{bucket}")
    variables = {**moto_server.credentials, "AWS_ENDPOINT_URL": moto_server.url}
    indexes = [str(index) for index in range(spec["completions"])]
    ran = run_each(
        ready,
        [[*container["command"], script]] * len(indexes),
        [{**variables, "JOB_COMPLETION_INDEX": index} for index in indexes],
    )
    assert [(one.returncode, one.stderr) for one in ran] == [(0, "")] * len(indexes)
    assert site.total == len(HOSTS)
    keys = moto_server.keys(bucket)
    assert sum(key.endswith("/a") or "/a--" in key for key in keys) == len(HOSTS)
    assert sum(key.endswith("/done.json") for key in keys) == len(indexes)


def test_the_slurm_array(ready: Command, site: HttpFarm) -> None:
    script = block("bash", "#SBATCH")
    array = re.search(r"^#SBATCH --array=0-(\d+)$", script, re.MULTILINE)
    assert array is not None
    (ready.directory / "job.sh").write_text(script)
    tasks = [str(task) for task in range(int(array[1]) + 1)]
    ran = run_each(
        ready, [["bash", "job.sh"]] * len(tasks), [{"SLURM_ARRAY_TASK_ID": one} for one in tasks]
    )
    assert [(one.returncode, one.stderr) for one in ran] == [(0, "")] * len(tasks)
    assert site.total == len(HOSTS)
    assert ready("status", "out").status == 0


def test_gnu_parallel(ready: Command, site: HttpFarm) -> None:
    parallel = shutil.which("parallel")
    if parallel is None:
        pytest.skip("there is no GNU parallel (Debian's package is parallel)")
    version = subprocess.run([parallel, "--version"], capture_output=True, text=True, check=False)
    if "GNU parallel" not in version.stdout:
        pytest.skip("this parallel is not GNU's (moreutils has one too)")
    (command,) = re.findall(r"^parallel .*$", PAGE.read_text(), re.MULTILINE)
    ready.environment["PATH"] += f":{Path(parallel).parent}"
    (ran,) = run_each(ready, [["bash", "-c", command]], [{}])
    assert ran.returncode == 0, ran.stderr
    assert site.total == len(HOSTS)
    assert ready("status", "out").status == 0


def test_the_cluster(ready: Command, site: HttpFarm, moto_server: S3Server) -> None:
    scheduler, worker, command = (
        line.split("  ")[0].split() for line in block("bash", "dask worker").splitlines()
    )
    assert scheduler == ["dask", "scheduler"]
    bucket = moto_server.make_bucket()
    variables = {**moto_server.credentials, "AWS_ENDPOINT_URL": moto_server.url}
    with Cluster(ready, variables) as cluster:
        assert worker[:3] == ["dask", "worker", "tcp://10.0.0.1:8786"]
        cluster.worker(int(worker[worker.index("--nthreads") + 1]))
        words = [cluster.url if word == worker[2] else word for word in command[1:]]
        words = [word.replace("s3://my-bucket", f"s3://{bucket}") for word in words]
        ran = ready(*words, env=variables)
        assert ran.status == 0, ran.err
    assert site.total == len(HOSTS)
