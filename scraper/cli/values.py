"""Types of values on the command line: sizes, headers, paths.

Owns: how such a value is read. Does not know: which option has it (`options.py`).
"""

import os
import re
from typing import Any

import click

_SIZE = r"(\d{1,18})(?:\.(\d{1,18}))?\s*(?:([kmgt])(i?))?b?"


class Size(click.ParamType):  # type: ignore[type-arg] # generic from Click 8.4 on
    """Bytes: `500k`, `10M`, `2G` (powers of 1000), `64KiB`, `1GiB` (powers of 1024)."""

    name = "bytes"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number of bytes, rounded down."""
        found = re.fullmatch(_SIZE, str(value).strip(), re.IGNORECASE | re.ASCII)
        if not found:
            self.fail(f"{value!r} is not a size like 500k, 10M or 2GiB", param, ctx)
        whole, part, unit, binary = found.groups(default="")
        power = " kmgt".index(unit.lower() or " ")
        size = int(whole + part) * (1024 if binary else 1000) ** power  # a float would not be exact
        return int(size // 10 ** len(part))


class Count(click.ParamType):  # type: ignore[type-arg]
    """A number, or a word that the settings know."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number, or the word."""
        del param, ctx
        is_number = isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value)
        return int(value) if is_number else value


class Header(click.ParamType):  # type: ignore[type-arg]
    """`K: V`. A variable may hold several, one a line."""

    name = "header"

    def split_envvar_value(self, rv: str) -> list[str]:
        """The lines of a variable. Blank lines are left out."""
        return _lines(rv)


class Resolve(click.ParamType):  # type: ignore[type-arg]
    """`HOST:PORT:ADDRESS`. A variable may hold several, one a line."""

    name = "address"

    def split_envvar_value(self, rv: str) -> list[str]:
        """The lines of a variable. Blank lines are left out."""
        return _lines(rv)


class Place(click.Path):
    """A path or a URL, for the shell's completion. A variable may hold several, one a line."""

    name = "path"

    def __init__(self) -> None:
        super().__init__(readable=False)  # it checks nothing

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path, with the home directory for `~`, which a shell does not do in `--to=~/x`."""
        if isinstance(value, str) and value.startswith("~"):
            value = os.path.expanduser(value)
        return super().convert(value, param, ctx)

    def split_envvar_value(self, rv: str) -> list[str]:
        """The lines of a variable. Blank lines are left out. A colon is part of a URL."""
        return _lines(rv)


class LocalFile(Place):
    """A file of this machine. A URL is refused: it would be made a path, with its password."""

    def __init__(self, *, dash: bool = True) -> None:
        super().__init__()
        self._dash = dash  # whether it may be `-`

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path."""
        if isinstance(value, str) and "://" in value:
            from scraper.model.urls import redact_wreck, scheme_in

            if scheme_in(value):
                self.fail(f"{redact_wreck(value)!r} is a URL, and no file here", param, ctx)
        if value == "-" and not self._dash:
            self.fail("'-' is no file here (one of that name is ./-)", param, ctx)
        return super().convert(value, param, ctx)


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]
