"""The TOML file of --config: its values become the defaults of a command.

Owns: reading it, and the refusal of what no option accepts. Does not know: which options there are
(`options.py`).
"""

import tomllib
from collections.abc import Container, Iterator
from typing import Any

import click
from click.core import ParameterSource

from scraper.cli.options import CONFIG, Refused, SectionOption, long_name, names_of_fetch


def read(ctx: click.Context, path: str) -> None:
    """Make the values in the TOML file at `path` the defaults of this command.

    Options of `fetch` that another command does not have are passed over. Raises UsageError when
    the file can't be read, or holds what no option accepts.
    """
    ctx.meta[CONFIG] = path
    named = ctx.get_parameter_source("config") is ParameterSource.ENVIRONMENT
    option = "SCRAPER_CONFIG" if named else "--config"
    try:
        with open(path, "rb") as file:
            given = tomllib.load(file)
    except OSError as error:
        raise click.UsageError(f"{option}: can't read {path!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{option} {path!r} is not TOML: {error}") from None
    known = {long_name(param): param for param in ctx.command.params}
    defaults: dict[str, Any] = {}
    for name, value in _flat(given, known):
        param = known.get(name.replace("_", "-"))
        if param is None and name.replace("_", "-") in names_of_fetch():
            continue  # one file serves every command
        if not isinstance(param, SectionOption) or param.name in {None, "config"}:
            from scraper.cli.words import for_key

            hint = for_key(name, names_of_fetch())
            raise Refused(f"{option} {path!r}: there is no option {name!r}", hint)
        assert param.name is not None
        try:
            defaults[param.name] = _converted(ctx, param, value)
        except click.BadParameter as error:
            from scraper.cli.words import for_value

            hint = for_value(param, error.message)
            raise Refused(f"{option} {path!r}: {name!r}: {error.message}", hint) from None
    ctx.default_map = {**(ctx.default_map or {}), **defaults}


def _flat(given: dict[str, Any], known: Container[str]) -> Iterator[tuple[str, Any]]:
    """The values by name. In TOML `http1.1` is the key `1` of a table `http1`."""
    for name, value in given.items():
        inner = value if isinstance(value, dict) else {}
        dotted = {f"{name}.{key}": one for key, one in inner.items() if f"{name}.{key}" in known}
        yield from dotted.items() if dotted else [(name, value)]


def _converted(ctx: click.Context, option: SectionOption, value: Any) -> Any:
    """A value of TOML, converted for this option. A string is read like that of a flag.

    Raises BadParameter.
    """
    values = value if option.multiple and isinstance(value, list) else [value]
    for one in values:
        fits = _TOML_TYPES.get(option.type.name, str)
        if not isinstance(one, str | fits) or (isinstance(one, bool) and fits is not bool):
            shown = _SHAPES.get(type(one)) or repr(one)  # its content may be secret
            raise click.BadParameter(f"{shown} is no {option.type.name}")
    return option.type_cast_value(ctx, values if option.multiple else value)


_SHAPES: dict[type[Any], str] = {list: "an array", dict: "a table"}
# Types of TOML, besides a string, that a type of Click accepts: `max-failures = 3` is a text.
_TOML_TYPES: dict[str, Any] = {
    "boolean": bool,
    "integer": int,
    "integer range": int,
    "float": int | float,
    "bytes": int,
    "text": int,
}
