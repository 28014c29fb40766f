"""A sink of somebody else's: installed as a package, found by its scheme, held to the suite."""

import os
import subprocess
import sys
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path

import pytest

from scraper.model.errors import UsageError
from scraper.sinks import base
from scraper.sinks.base import ENTRY_POINT_GROUP, OURS, SinkOptions, find_sink
from tests.servers import Reply, Serve

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "scraper-memory"
version = "1"

[project.entry-points."scraper.sinks"]
memory = "scraper_memory:open_sink"
file = "scraper_memory:open_sink"

[tool.hatch.build.targets.wheel]
packages = ["scraper_memory"]
"""

# All that an author needs: the seam's names, three methods twice.
SINK = '''
"""Bodies in a dictionary, for as long as the process lives."""

from scraper.model.errors import DestinationError
from scraper.model.records import Stored
from scraper.sinks.base import Body, SinkOptions

OBJECTS: dict[str, bytes] = {}


def open_sink(destination: str, options: SinkOptions) -> "MemorySink":
    return MemorySink(destination.removeprefix("memory://"))


class MemorySink:
    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def check(self) -> None:
        if not self.prefix:
            raise DestinationError("memory:// needs a prefix")

    def open(self, key: str) -> "MemoryUpload":
        return MemoryUpload(f"{self.prefix}/{key}")

    def close(self) -> None:
        pass


class MemoryUpload:
    def __init__(self, name: str) -> None:
        self.name = name
        self.chunks: list[bytes] = []

    def write(self, chunk: bytes) -> None:
        self.chunks.append(bytes(chunk))

    def commit(self, body: Body) -> Stored:
        OBJECTS[self.name] = b"".join(self.chunks)
        return body.stored()

    def abort(self) -> None:
        self.chunks.clear()
'''

# As it was written for 0.1.0, from the imports to the protocol of sinks that can be read back.
# This text stays as it is: packages like it are installed.
SINK_OF_0_1 = '''
"""Bodies in a dictionary, for as long as the process lives."""

from collections.abc import Iterator

from scraper.errors import DestinationError, Kind, ScraperError, SinkError, UsageError
from scraper.records import Response, Result, Stored, Target
from scraper.settings import S3
from scraper.sinks.base import Blocking, Body, Shelf, Sink, SinkOptions, Upload
from scraper.urls import redact

OBJECTS: dict[str, bytes] = {}


def open_sink(destination: str, options: SinkOptions) -> "MemorySink":
    assert isinstance(options.s3, S3)
    return MemorySink(destination.removeprefix("memory://"))


class MemorySink:
    near = True
    blocking = Blocking.NEVER

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        assert isinstance(self, Shelf)

    def check(self) -> None:
        if not self.prefix:
            raise DestinationError("memory:// needs a prefix")

    def open(self, key: str) -> Upload:
        return MemoryUpload(f"{self.prefix}/{key}")

    def close(self) -> None:
        pass

    def reach(self) -> None:
        self.check()

    def size(self, key: str) -> int | None:
        found = OBJECTS.get(f"{self.prefix}/{key}")
        return None if found is None else len(found)

    def read(self, key: str) -> Iterator[bytes]:
        try:
            yield OBJECTS[f"{self.prefix}/{key}"]
        except KeyError:
            raise SinkError(f"there is no {key!r}", transient=False) from None

    def keys(self, prefix: str = "") -> Iterator[str]:
        own = f"{self.prefix}/"
        found = [name.removeprefix(own) for name in OBJECTS if name.startswith(own)]
        return (name for name in found if name.startswith(prefix))

    def remove(self, key: str) -> None:
        OBJECTS.pop(f"{self.prefix}/{key}", None)


class MemoryUpload:
    def __init__(self, name: str) -> None:
        self.name = name
        self.chunks: list[bytes] = []

    def write(self, chunk: bytes) -> None:
        self.chunks.append(bytes(chunk))

    def commit(self, body: Body) -> Stored:
        OBJECTS[self.name] = b"".join(self.chunks)
        return body.stored()

    def abort(self) -> None:
        self.chunks.clear()
'''

# What 0.1.0 had to be imported from the two public modules.
PUBLIC = {
    "scraper.sinks.base": (
        *("ENTRY_POINT_GROUP", "OURS", "Blocking", "Body", "Shelf", "Sink", "SinkFactory"),
        *("SinkOptions", "Upload", "blocking_of", "disk_of", "find_sink", "ignores_case"),
        "scheme_of",
    ),
    "scraper.testing": (
        *("SINK_CASES", "MakeSink", "Names", "Place", "Read", "SinkCase", "body_of"),
        *("check_sink", "store"),
    ),
}


@pytest.fixture(scope="module", params=[SINK, SINK_OF_0_1], ids=["now", "0.1.0"])
def installed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the plugin in it, as pip puts it there."""
    source = tmp_path_factory.mktemp("plugin")
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "scraper_memory").mkdir()
    (source / "scraper_memory/__init__.py").write_text(request.param)
    target = tmp_path_factory.mktemp("installed")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", target, source],
        check=True,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_ROOT_USER_ACTION": "ignore"},
    )
    return target


def run(installed: Path, script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(installed)},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def test_a_plugin_is_found_by_its_scheme_and_stores(installed: Path) -> None:
    script = """
from scraper.sinks.base import SinkOptions, find_sink
from scraper.testing import store
from scraper_memory import OBJECTS
sink = find_sink("memory://pages", SinkOptions())
sink.check()
stored = store(sink, "a/b", b"hello")
sink.close()
print(OBJECTS, stored.size)
"""
    assert run(installed, script) == "{'pages/a/b': b'hello'} 5\n"


def test_a_plugin_takes_no_scheme_of_ours(installed: Path) -> None:
    script = """
from scraper.sinks.base import SinkOptions, find_sink
print(type(find_sink("file:///tmp/x", SinkOptions())).__name__)
"""
    assert run(installed, script) == "DirectorySink\n"


def test_our_own_sinks_are_registered_as_a_plugin_is() -> None:
    ours = distribution("scraper").entry_points.select(group=ENTRY_POINT_GROUP)
    assert {point.name: point.value for point in ours} == OURS


def test_a_plugin_passes_the_suite_without_a_test_runner(installed: Path) -> None:
    script = """
import sys
from scraper.sinks.base import SinkOptions, find_sink
from scraper.testing import check_sink
from scraper_memory import OBJECTS
check_sink(
    lambda: find_sink("memory://p", SinkOptions()), lambda key: OBJECTS.get(f"p/{key}"),
    lambda: OBJECTS,
)
print(len(OBJECTS) > 80, "pytest" in sys.modules)
"""
    assert run(installed, script) == "True False\n"


def test_a_run_stores_with_a_plugin_and_keeps_its_record_there(
    installed: Path, serve: Serve
) -> None:
    server = serve({"/page": Reply(body=b"hello")})
    script = f"""
import scraper
from scraper_memory import OBJECTS
results = list(scraper.run(["{server.url}/page\\tk"], to="memory://pages"))
print([one.status for one in results], OBJECTS["pages/k"])
print(any(name.startswith("pages/.scraper/manifest-") for name in OBJECTS))
"""
    assert run(installed, script) == "['stored'] b'hello'\nTrue\n"


@pytest.mark.parametrize("module", PUBLIC)
def test_every_public_name_of_the_last_version_can_be_imported(module: str) -> None:
    found = import_module(module)
    assert [name for name in PUBLIC[module] if not hasattr(found, name)] == []


def test_former_names_are_the_same_things_and_not_copies() -> None:
    assert base.Shelf is base.ReadableSink
    for name in ("errors", "records", "settings", "urls"):
        assert import_module(f"scraper.{name}") is import_module(f"scraper.model.{name}")


def test_a_scheme_that_no_package_serves_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match=r"no sink for memory:// \(there are: .*s3"):
        find_sink("memory://pages", SinkOptions())
