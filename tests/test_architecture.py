"""The shape of the house: imports point one way, and the map names every room."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import scraper

PACKAGE = Path(scraper.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# A module imports from the lines below its own, and from its own package; nothing else.
LAYERS: list[set[str]] = [
    {"__main__"},
    {"cli", "testing"},
    {"remote", "progress"},  # they use, or show, a whole run
    {"loop"},
    {"aftermath", "gate", "holding", "sieve"},
    {"log", "resume", "build", "verify", "stopping"},
    {"journal", "summary", "lock", "streams"},
    {"frontier", "engines", "intake", "index"},
    {"transfer", "lists", "manifest", "outage"},
    {"retry", "partial", "seen", "robots", "plain"},
    {"body"},
    {"plan"},
    {"sinks"},
    {"keys", "decode", "exchange", "turns", "allowance"},
    {"urls"},
    {"settings"},
    {"records", "demo", "dates", "addresses"},
    {"errors"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# Where a library may be imported, as the beginning of a path below the package.
HOMES = {
    "requests": "engines/",
    "urllib3": "engines/",
    "pycurl": "engines/curl",
    "certifi": "engines/",
    "boto3": "sinks/bucket.py",
    "botocore": "sinks/",
    "s3transfer": "sinks/bucket.py",
    "obstore": "sinks/objectstore.py",
    "click": "cli/",
    "click_default_group": "cli/",
    "moto": "demo.py",
    "rich": "progress.py",
    "tenacity": "retry.py",
    "protego": "robots.py",
    "can_ada": "urls.py",
}


def place(path: Path) -> str:
    """`engines/threads/engine.py`."""
    return path.relative_to(PACKAGE).as_posix()


def room(path: Path) -> str:
    """`engines` for all of engines/, `loop` for loop.py."""
    return place(path).partition("/")[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every import of the file, wherever it stands, as line and full module name."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{place(path)}:{node.lineno}: a relative import"
            if node.module == "scraper":
                yield from ((node.lineno, f"scraper.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module or ""


def test_every_module_has_its_layer() -> None:
    rooms = {room(path) for path in FILES} - {"__init__"}
    assert rooms == rooms & LEVEL.keys(), "modules that no layer of this test names"


def test_no_layer_is_of_modules_that_are_gone() -> None:
    assert LEVEL.keys() == LEVEL.keys() & {room(path) for path in FILES}


def test_imports_point_one_way() -> None:
    wrong = []
    for path in FILES:
        if place(path) == "__init__.py":
            continue  # the public names come from everywhere
        own = room(path)
        for line, name in imports(path):
            top, _, rest = name.partition(".")
            other = rest.partition(".")[0]
            if top != "scraper" or other not in LEVEL or other == own:
                continue
            if LEVEL[other] <= LEVEL[own]:
                wrong.append(f"{place(path)}:{line} imports {name}")
    assert not wrong


@pytest.mark.parametrize(("library", "home"), HOMES.items())
def test_a_library_is_imported_at_its_home_only(library: str, home: str) -> None:
    wrong = [
        f"{place(path)}:{line} imports {name}"
        for path in FILES
        for line, name in imports(path)
        if name.partition(".")[0] == library and not place(path).startswith(home)
    ]
    assert not wrong


def test_the_map_of_the_house_names_every_module() -> None:
    assert scraper.__doc__
    words = set(re.findall(r"[\w.]+\.py|\w+/", scraper.__doc__))
    missing = [
        place(path)
        for path in FILES
        if (f"{path.parent.name}/" if path.name == "__init__.py" else path.name) not in words
        and place(path) != "__init__.py"
    ]
    assert not missing, "the docstring of scraper/__init__.py does not name these"


def test_the_map_of_the_house_names_nothing_that_is_gone() -> None:
    assert scraper.__doc__
    named = set(re.findall(r"\w+\.py", scraper.__doc__))
    assert named <= {path.name for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=place)
def test_every_module_begins_with_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
