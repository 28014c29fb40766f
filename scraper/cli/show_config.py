"""`--show-config`: the options in force, as TOML, and where each came from.

Owns: that text; secrets in it are redacted. Does not know: networks and destinations, which are
not asked. Its output can be read again with `--config`, but for what was redacted.
"""

import json
import re
from dataclasses import fields, is_dataclass
from typing import Any

import click
from click.core import ParameterSource

from scraper.cli.options import CONFIG, SectionOption, long_name
from scraper.model.settings import Settings
from scraper.model.urls import is_secret_header, printable, redact_text, redact_wreck


def show(context: click.Context, settings: Settings) -> int:
    """Print every option with its value and its origin, in the order of the help."""
    defaults = _flat(settings, "")
    section = ""
    rows: list[tuple[str, str]] = []
    for param in context.command.params:
        if not isinstance(param, SectionOption) or param.name in {"config", "show_config"}:
            continue
        if param.section != section:
            rows.append((f"\n# {param.section}" if section else f"# {param.section}", ""))
            section = param.section
        rows.append(_row(param, context, defaults))
    width = min(40, max(len(left) for left, origin in rows if origin))
    for left, origin in rows:
        click.echo(printable(f"{left:{width}}  # {origin}") if origin else left)
    return 0


def _row(param: SectionOption, context: click.Context, defaults: dict[str, Any]) -> tuple[str, str]:
    assert param.name is not None
    name, value = long_name(param), context.params.get(param.name)
    if value in (None, ()):
        value = defaults.get(param.name)
        said = re.search(r"\[default: (.*)\]", param.help or "")
        if value is None or value == ():
            return f"# {name}", f"default: {said[1] if said else 'none'}"
        return f"{name} = {_toml(value)}", "default"
    source = context.get_parameter_source(param.name)
    if source is ParameterSource.ENVIRONMENT:
        origin = str(param.envvar)
    elif source is ParameterSource.DEFAULT_MAP:
        origin = str(context.meta.get(CONFIG, "--config"))
    else:
        origin = "command line"
    return f"{name} = {_toml('REDACTED' if name == 'user' else value)}", origin


def _flat(branch: Any, prefix: str) -> dict[str, Any]:
    """The settings by the names of their options. Budgets are left out: the option says them."""
    found: dict[str, Any] = {}
    for one in fields(branch):
        value = getattr(branch, one.name)
        if is_dataclass(value):
            found |= _flat(value, "s3_" if one.name == "s3" else "")
        else:
            found[prefix + one.name] = value
    return found


def _toml(value: Any) -> str:
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, bool | int):
        return json.dumps(value)
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(_without_secrets(str(value)), ensure_ascii=False).replace("\x7f", "\\u007f")


def _without_secrets(text: str) -> str:
    name, colon, _ = text.partition(":")
    if colon and is_secret_header(name.strip()):
        return f"{name}: REDACTED"
    return redact_wreck(text) if "@" in text and "://" in text else redact_text(text)
