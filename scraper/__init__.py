"""scraper: every URL of a list into a directory or S3."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scraper.errors import DestinationError, Kind, ListError, ScraperError, UsageError
    from scraper.loop import run
    from scraper.records import Result, Target

__version__ = "0.1.0"
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
    from importlib import import_module

    if name == "run":
        return import_module("scraper.loop").run
    for module in ("scraper.records", "scraper.errors"):
        if name in __all__ and hasattr(found := import_module(module), name):
            return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
