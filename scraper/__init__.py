"""scraper: a list of URLs in, one object per URL out, an account of every line.

    for result in scraper.run(["https://example.com/"], to="./out"):
        print(result.status, result.target.key)

`run` fetches. `Result` and `Target` are what it yields. `ScraperError` is the root of what
it raises. `scraper.sinks.base` and `scraper.testing` are for authors of sinks.
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from scraper.model.version import __version__

if TYPE_CHECKING:
    from scraper.model.errors import DestinationError, Kind, ListError, ScraperError, UsageError
    from scraper.model.records import Result, Target
    from scraper.run.api import run

__all__ = [
    "DestinationError",
    "Kind",
    "ListError",
    "Result",
    "ScraperError",
    "Target",
    "UsageError",
    "__version__",
    "run",
]


def __getattr__(name: str) -> Any:
    """Public names, imported when asked for: `scraper --help` needs none of them."""
    if name == "run":  # kept, so that it is the function and not the package of that name
        globals()[name] = found = import_module("scraper.run.api").run
        return found
    for module in ("scraper.model.records", "scraper.model.errors"):
        if name in __all__ and hasattr(found := import_module(module), name):
            return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _Moved:
    """Finds modules that sinks of other packages know by the names they had before 0.2."""

    names = ("scraper.errors", "scraper.records", "scraper.settings", "scraper.urls")

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """The module's own spec, under its former name."""
        return ModuleSpec(name, self) if name in self.names else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The module itself, not a copy: its classes are the same ones."""
        self._own = import_module(spec.name.replace("scraper.", "scraper.model."))
        self._spec = self._own.__spec__
        return self._own

    def exec_module(self, module: ModuleType) -> None:
        """Nothing to run; the import gave the module another spec."""
        module.__spec__ = self._spec


sys.meta_path.append(_Moved())
