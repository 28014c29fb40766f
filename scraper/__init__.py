"""scraper: a list of URLs in, one object per URL out, an account of every line.

    for result in scraper.run(["https://example.com/"], to="./out"):
        print(result.status, result.target.key)

`run` fetches, and `arun` does for asyncio. `Result` is what they yield, `Options` are their
options, `Summary` is the account. `ScraperError` is the root of what they raise.
`scraper.sinks.base` and `scraper.testing` are for authors of sinks.
"""

import sys
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from scraper.model.version import __version__

if TYPE_CHECKING:
    from scraper.model.errors import (
        DestinationError,
        Held,
        Kind,
        ListError,
        ScraperError,
        UsageError,
    )
    from scraper.model.options import Options
    from scraper.model.records import Failure, Target
    from scraper.report.summary import Summary
    from scraper.run.aio import AsyncResults, arun
    from scraper.run.api import Results, run
    from scraper.run.result import Result

_HOMES = {
    "scraper.model.errors": (
        "DestinationError",
        "Held",
        "Kind",
        "ListError",
        "ScraperError",
        "UsageError",
    ),
    "scraper.model.options": ("Options",),
    "scraper.model.records": ("Failure", "Target"),
    "scraper.report.summary": ("Summary",),
    "scraper.run.aio": ("AsyncResults", "arun"),
    "scraper.run.api": ("Results", "run"),
    "scraper.run.result": ("Result",),
}
__all__ = [
    "AsyncResults",
    "DestinationError",
    "Failure",
    "Held",
    "Kind",
    "ListError",
    "Options",
    "Result",
    "Results",
    "ScraperError",
    "Summary",
    "Target",
    "UsageError",
    "__version__",
    "arun",
    "run",
]

if not TYPE_CHECKING:  # mypy would take every name for one that is there

    def __getattr__(name: str) -> Any:
        """Public names, imported when asked for: `scraper --help` needs none of them."""
        for module, names in _HOMES.items():
            if name in names:
                # Kept, so that `run` is the function and not the package of that name.
                globals()[name] = found = getattr(import_module(module), name)
                return found
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
