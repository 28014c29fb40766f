"""The shape of the house: rooms on floors, imports go down, and the map names every module.

Each rule gives one line for what breaks it: the file, the line, and the rule. The rules are
tried on a small house with one fault of each kind first, so that they are known to find it.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

import scraper

PACKAGE = Path(scraper.__file__).parent
MAP = Path(__file__).parent.parent / "docs/architecture.md"

# From the top floor down: a room imports from the rooms behind it in this list only.
FLOORS = (
    "cli",
    "cluster",
    "run",
    "report",
    "engines",
    "transfer",
    "manifest",
    "sinks",
    "source",
    "schedule",
    "model",
)
# At the top of the package stand the public names, the command and what plug-ins use.
TOP = {"__init__", "__main__", "demo", "testing"}
MOST_LINES, MOST_BODY_LINES = 400, 40

# Where a library may be imported, as the beginning of a path below the package.
HOMES: dict[str, str | tuple[str, ...]] = {
    "requests": "engines/",
    "urllib3": ("engines/", "sinks/s3/addresses.py"),
    "pycurl": ("engines/curl/", "sinks/curl_"),
    "socks": "engines/threads/",
    "certifi": ("engines/", "sinks/s3/"),
    "fsspec": "sinks/remote_files/",
    "paramiko": "sinks/remote_files/",
    "httpx": "sinks/remote_files/",
    "webdav4": "sinks/remote_files/",
    "smbclient": "sinks/remote_files/",
    "smbprotocol": "sinks/remote_files/",
    "ftplib": "sinks/remote_files/",
    "boto3": "sinks/s3/",
    "botocore": "sinks/s3/",
    "s3transfer": "sinks/s3/",
    "obstore": "sinks/cloud/",
    "google": "sinks/cloud/google_credentials.py",
    "dask": "cluster/dask_",
    "distributed": "cluster/dask_",
    "click": "cli/",
    "click_default_group": "cli/",
    "moto": "demo.py",
    "pyarrow": ("sinks/remote_files/arrow.py", "source/parquet.py", "report/export_parquet.py"),
    "rich": "report/progress.py",
    "prometheus_client": "report/metrics",
    "vl_convert": "report/page/charts.py",
    "jinja2": "report/page/render.py",
    "tenacity": "schedule/retry.py",
    "can_ada": "model/urls.py",
}


class Import(NamedTuple):
    """One import: the module it names, and the names it takes from there."""

    line: int
    module: str
    names: tuple[str, ...]


def modules(package: Path) -> list[Path]:
    """Every module of the package."""
    return sorted(package.rglob("*.py"))


def room(path: Path, package: Path) -> str:
    """`engines` for all of engines/, `demo` for demo.py."""
    return path.relative_to(package).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[Import]:
    """Every import of the file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield Import(node.lineno, module, tuple(alias.name for alias in node.names))


def crossings(path: Path, package: Path) -> Iterator[tuple[Import, str]]:
    """Imports from other rooms, each with the room."""
    own = room(path, package)
    for one in imports(path):
        top, _, rest = one.module.partition(".")
        if top != package.name:
            continue
        others = [rest.partition(".")[0]] if rest else list(one.names)
        yield from ((one, other) for other in others if other != own and (package / other).is_dir())


def up(package: Path) -> Iterator[str]:
    """Imports that go up."""
    for path in modules(package):
        own = room(path, package)
        if own in TOP:
            continue
        for one in imports(path):
            if one.module == package.name and not set(one.names) & (set(FLOORS) | TOP):
                yield f"{path}:{one.line} imports {one.module}: {own}/ lies below the public names"
        for one, other in crossings(path, package):
            if other not in FLOORS or own not in FLOORS:
                yield f"{path}:{one.line} imports {one.module}: a room that no floor names"
            elif FLOORS.index(other) < FLOORS.index(own):
                yield f"{path}:{one.line} imports {one.module}: {own}/ lies below {other}/"


def circles(package: Path) -> Iterator[str]:
    """Pairs of rooms that each need the other, directly or through others."""
    needs: dict[str, set[str]] = {}
    for path in modules(package):
        own = room(path, package)
        if own not in TOP:
            needs.setdefault(own, set()).update(other for _, other in crossings(path, package))
    for own, direct in needs.items():
        found, left = set[str](), [own]
        while left:
            for other in needs.get(left.pop(), set()) - found:
                found.add(other)
                left.append(other)
        if own in found:
            yield f"{package / own}/: it needs itself through {', '.join(sorted(direct))}"


def faces(package: Path) -> Mapping[str, tuple[set[str], set[str]]]:
    """What others may import, of each package: names (its `__all__`), modules (its docstring's)."""
    shown = {}
    for path in package.rglob("*/__init__.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {
            str(ast.literal_eval(element))
            for node in tree.body
            if isinstance(node, ast.Assign)
            and ast.unparse(node.targets[0]) == "__all__"
            and isinstance(node.value, ast.List)
            for element in node.value.elts
        }
        named = re.findall(r"`(?:\w+\.)*(\w+)`", ast.get_docstring(tree) or "")
        dotted = ".".join((package.name, *path.relative_to(package).parts[:-1]))
        shown[dotted] = (names, set(named))
    return shown


def past_faces(package: Path) -> Iterator[str]:
    """Imports from another room that pass by its face."""
    shown = faces(package)
    for path in modules(package):
        for one, _ in crossings(path, package):
            where, _, module = one.module.rpartition(".")
            if one.module in shown:  # `from scraper.transfer import Transfer`
                names, submodules = shown[one.module]
                hidden = set(one.names) - names - submodules
            else:
                hidden = set() if module in shown.get(where, (set(), set()))[1] else {module}
            if hidden:
                face = one.module if one.module in shown else where
                yield f"{path}:{one.line} imports {', '.join(sorted(hidden))}: not shown by {face}"


def unused_faces(package: Path) -> Iterator[str]:
    """Names that a room shows and no other room takes, by import or as an entry point."""
    taken = {
        (one.module, name)
        for path in modules(package)
        for one, _ in crossings(path, package)
        for name in one.names
    }
    registered = "".join(path.read_text(encoding="utf-8") for path in modules(package))
    for dotted, (names, _) in faces(package).items():
        for name in sorted(names):
            if (dotted, name) not in taken and f'"{dotted}:{name}"' not in registered:
                yield f"{dotted} shows {name}: no other room takes it"


def too_large(package: Path) -> Iterator[str]:
    """Modules over 400 lines, and functions whose body is over 40."""
    for path in modules(package):
        text = path.read_text(encoding="utf-8")
        if text.count("\n") > MOST_LINES:
            yield f"{path}: {text.count(chr(10))} lines, more than {MOST_LINES}"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
                if lines > MOST_BODY_LINES:
                    yield f"{path}:{node.lineno} {node.name}: {lines} lines, more than 40"


def astray(package: Path) -> Iterator[str]:
    """What stands at the top of the package and is neither a room nor one of the few modules."""
    for path in sorted(package.iterdir()):
        if path.is_dir():
            wrong = path.name != "__pycache__" and path.name not in FLOORS
        else:
            wrong = path.stem not in TOP if path.suffix == ".py" else path.name != "py.typed"
        if wrong:
            yield f"{path}: neither a room nor one of {', '.join(sorted(TOP))}"


def relative(package: Path) -> Iterator[str]:
    """Relative imports: where they lead can't be seen from the line."""
    for path in modules(package):
        for one in imports(path):
            if one.module.startswith("."):
                yield f"{path}:{one.line} imports {one.module}: a relative import"


Rule = Callable[[Path], Iterator[str]]
RULES: tuple[Rule, ...] = (up, circles, past_faces, unused_faces, too_large, astray, relative)

FAULTY = {
    "__init__.py": "",
    "helpers.py": "",
    "model/__init__.py": '"""Others import `errors`."""',
    "model/errors.py": "import faulty.schedule\nfrom faulty import __version__",
    "model/secrets.py": "",
    "schedule/__init__.py": "from faulty.schedule.frontier import A, B\n__all__ = ['A', 'B']",
    "schedule/frontier.py": "from .x import y\nfrom faulty.model import errors, secrets\n"
    + "\n" * 400,
    "run/__init__.py": "",
    "run/loop.py": "from faulty.schedule import A\nfrom faulty.schedule.frontier import A\n"
    "def f():\n" + "    x = 1\n" * 41,
}
FAULTS = {
    "up": [
        "model/errors.py:1 imports faulty.schedule: model/ lies below schedule/",
        "model/errors.py:2 imports faulty: model/ lies below the public names",
    ],
    "circles": [
        "model/: it needs itself through schedule",
        "schedule/: it needs itself through model",
    ],
    "past_faces": [
        "run/loop.py:2 imports frontier: not shown by faulty.schedule",
        "schedule/frontier.py:2 imports secrets: not shown by faulty.model",
    ],
    "unused_faces": ["faulty.schedule shows B: no other room takes it"],
    "too_large": [
        "run/loop.py:3 f: 41 lines, more than 40",
        "schedule/frontier.py: 402 lines, more than 400",
    ],
    "astray": ["helpers.py: neither a room nor one of __init__, __main__, demo, testing"],
    "relative": ["schedule/frontier.py:1 imports .x: a relative import"],
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_fault_is_told_in_one_line(rule: Rule, tmp_path: Path) -> None:
    package = tmp_path / "faulty"
    for name, text in FAULTY.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_text(text)
    found = sorted(line.removeprefix(f"{package}/") for line in rule(package))
    assert found == FAULTS[str(rule.__name__)]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_house_keeps_the_rule(rule: Rule) -> None:
    assert list(rule(PACKAGE)) == []


@pytest.mark.parametrize(("library", "home"), HOMES.items())
def test_a_library_is_imported_at_its_home_only(library: str, home: str | tuple[str, ...]) -> None:
    wrong = [
        f"{path}:{one.line} imports {one.module}: {library} is for {home}"
        for path in modules(PACKAGE)
        for one in imports(path)
        if one.module.partition(".")[0] == library
        and not path.relative_to(PACKAGE).as_posix().startswith(home)
    ]
    assert not wrong


def named_in_the_map() -> list[str]:
    """Modules that the map names, as paths below the package, in its order."""
    places, named = [""], []
    for line in MAP.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"#+ `([\w/]+/)`", line):
            places = [found[1]]
        elif found := re.match(r"- `([\w/]+\.py)`", line):
            named.append(places[0] + found[1])
    return named


def test_the_map_names_every_module_and_nothing_that_is_gone() -> None:
    there = [path.relative_to(PACKAGE).as_posix() for path in modules(PACKAGE)]
    rooms = [name for name in there if not name.endswith("/__init__.py")]
    assert sorted(named_in_the_map()) == sorted(rooms)


def test_the_map_has_the_rooms_from_the_top_floor_down() -> None:
    headings = re.findall(r"^## `(\w+)/`", MAP.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == list(FLOORS)


@pytest.mark.parametrize("path", modules(PACKAGE), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_every_module_begins_with_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def test_the_tests_of_a_room_lie_in_a_folder_of_its_name() -> None:
    tests = Path(__file__).parent
    others = {"bench", "conformance", "destinations", "e2e", "hostile", "proof", "scale", "stores"}
    folders = {path.name for path in tests.iterdir() if path.is_dir()}
    folders -= {*others, "__pycache__"}
    assert folders <= set(FLOORS)
    stray = {path.stem.removeprefix("test_") for path in tests.glob("test_*.py")}
    of_the_suite = {"architecture", "imports", "machine", "servers", "slow", "testing"}
    assert stray <= {*of_the_suite, "bench", "demo"}
