"""What is said of a wrong call: one line, and a hint where there is a way out.

    message, hint = explain(error, words)

Owns: the words for errors of Click, where a wrong value came from, and near misses. Does not
know: how an error is printed (`command.py`). It is imported after an error only. Rejected: Click's
own suggestions, which know no word of another tool and no command.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

import click
from click.core import ParameterSource

from scraper.cli.commands import COMMANDS
from scraper.cli.foreign import COMMANDS as OTHERS
from scraper.cli.foreign import OPTIONS
from scraper.cli.options import CONFIG, long_name, names_of_fetch
from scraper.model.errors import ScraperError

_PREFIX = "SCRAPER_"
_CLOSE = 0.7  # of difflib; below it suggestions are guesses
_NAMED = re.compile(r"(?<![\w-])--[a-z][a-z0-9.-]*[a-z0-9]")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|sec|secs|seconds?|m|min|mins|minutes?|h|hours?|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def explain(error: click.ClickException | ScraperError, words: Sequence[str]) -> tuple[str, str]:
    """The message and the hint ("" if there is none); `words` are those of the command line."""
    if isinstance(error, ScraperError):
        return str(error), error.hint
    context = getattr(error, "ctx", None) or click.get_current_context(silent=True)
    match error:
        case click.NoSuchOption():
            name = _as_typed(error.option_name, words)
            return f"No such option '{name}'.", for_option(name, context)
        case click.MissingParameter():
            return error.format_message(), _for_missing(context)
        case click.BadParameter():
            return _bad_value(error, context)
        case click.BadOptionUsage():
            return error.message, _for_usage(error, context)
        case _:
            hint = getattr(error, "hint", "") or _for_extra(error, context)
            return error.format_message(), hint


def attributed(error: ScraperError, context: click.Context) -> ScraperError:
    """The error; options in its message are named as they were given.

    An option that came from a variable or a file is named so: nobody looks for it on the
    command line.
    """
    params = {f"--{long_name(param)}": param for param in context.command.params}

    def origin(found: re.Match[str]) -> str:
        param = params.get(found[0])
        return found[0] if param is None else origin_of(param, context)

    text = _NAMED.sub(origin, str(error))
    if text != str(error):
        error.args = (text, *error.args[1:])
    return error


def origin_of(param: click.Parameter, context: click.Context) -> str:
    """How the value of an option was given: its option, its variable, or its key in the file."""
    source = context.get_parameter_source(param.name or "")
    name = long_name(param)
    if source is ParameterSource.ENVIRONMENT and isinstance(param.envvar, str):
        return param.envvar
    if source is ParameterSource.DEFAULT_MAP:
        return f"{name!r} in {context.meta.get(CONFIG, '--config')!r}"
    return f"--{name}" if name else str(param.human_readable_name)


def near(word: str, known: Iterable[str], most: int = 1, close: float = _CLOSE) -> list[str]:
    """Those of `known` that `word` may be a slip of, the nearest first.

    Case and `_` for `-` are no difference. An abbreviation means what begins with it.
    """
    from difflib import get_close_matches

    plain = {name.lower().replace("_", "-"): name for name in sorted(known)}
    typed = word.lower().replace("_", "-")
    if typed in plain:
        return [plain[typed]]
    begun = [name for name in plain if name.startswith(typed)] if len(typed.strip("-")) > 2 else []
    found = begun if 0 < len(begun) <= 3 else get_close_matches(typed, plain, most, close)
    return [plain[name] for name in found]


def meant(names: Sequence[str]) -> str:
    """`did you mean --a or --b?`, or "" without names."""
    return f"did you mean {' or '.join(names)}?" if names else ""


def for_option(name: str, context: click.Context | None) -> str:
    """The hint for an option that there is not; `name` has its dashes."""
    return next(filter(None, _for_option(name, context)), "scraper --help lists every option")


def _for_option(name: str, context: click.Context | None) -> Iterator[str]:
    known = _names_of(context.command) if context is not None else []
    bare = name.lstrip("-")
    lower = "--" + bare.lower().replace("_", "-")
    is_fetch = context is not None and context.command.name == "fetch"
    if not name.startswith("--") and f"--{bare}" in known:
        yield f"a long option has two dashes: --{bare}"
    if is_fetch and lower not in known:
        yield foreign(name) or foreign(lower)
    if bare.startswith("no-") and f"--{bare[3:]}" in known:
        yield f"that is the default without --{bare[3:]}"
    yield meant(near(lower, known))
    if context is not None and not is_fetch:
        whole = context.find_root().command
        fetch = whole.get_command(context, "fetch") if isinstance(whole, click.Group) else None
        of_fetch = _names_of(fetch) if fetch is not None else []
        ours = f"those of this command: {context.command_path} --help"
        yield f"{name} is an option of fetch; {ours}" if name in of_fetch else ours


def foreign(name: str) -> str:
    """What an option of another tool is here, or ""."""
    answer = OPTIONS.get(name, "")
    return f"that is {answer}" if answer.startswith("-") else answer


def for_variable(name: str, known: Iterable[str]) -> str:
    """The hint for an unknown variable `SCRAPER_...`."""
    bare = name.removeprefix(_PREFIX)
    hint = foreign("--" + bare.lower().replace("_", "-"))
    found = near(bare, [one.removeprefix(_PREFIX) for one in known])
    return hint or meant([_PREFIX + one for one in found])


def for_key(name: str, known: Iterable[str]) -> str:
    """The hint for an unknown key of the TOML file."""
    if name == "fetch":
        return "options stand at the top of the file, in no table"
    return foreign("--" + name.lower().replace("_", "-")) or meant(near(name, known))


def for_command(word: str, context: click.Context | None) -> str:
    """The hint for a word that may be a command, or ""."""
    known = COMMANDS if context is not None else ()
    if found := near(word, known, close=0.75):
        return f"did you mean the command {found[0]}? scraper {found[0]} -h"
    return OTHERS.get(word.lower(), "")


def _as_typed(name: str, words: Sequence[str]) -> str:
    """The option as it was typed: Click names one letter of `-timeout`. Without any value."""
    for word in words:
        stem = word.partition("=")[0]
        if stem == name or (
            len(name) == 2 and word[:1] == "-" and word[:2] != "--" and name[1] in word
        ):
            bare = stem.lstrip("-")
            return stem if len(bare) > 1 and _is_long(bare) else name
    return name


def _is_long(bare: str) -> bool:
    known = names_of_fetch()
    return f"--{bare}" in OPTIONS or bare in known or bool(near(bare, known))


def _bad_value(error: click.BadParameter, context: click.Context | None) -> tuple[str, str]:
    param = error.param
    if param is None or context is None or not isinstance(param, click.Option):
        return error.format_message(), ""
    origin = origin_of(param, context)
    shown = origin if " in " in origin else repr(origin)
    return f"Invalid value for {shown}: {error.message}", _for_value(param, error.message)


def _for_value(param: click.Option, message: str) -> str:
    """What a value of this option looks like, if the wrong one says what was meant."""
    kind = param.type.name
    value = found[1] if (found := re.match(r"'(.*?)' is not ", message)) else ""
    if kind == "float" and (duration := _DURATION.fullmatch(value.strip().lower())):
        unit = duration[2] if duration[2] in _SECONDS else duration[2][0]
        seconds = float(duration[1]) * _SECONDS[unit]
        return f"it is a number of seconds: --{long_name(param)} {seconds:g}"
    if param.name == "max_concurrency" and ("://" in value or "." in value or "/" in value):
        return f"-c is a number of transfers; {OPTIONS['--continue']}"
    if kind == "float" and (rate := re.fullmatch(r"([\d.]+)\s*/\s*s(ec)?", value)):
        return f"it is a number a second: --{long_name(param)} {rate[1]}"
    if kind in {"integer", "float"} and value.lower() in {"inf", "infinite", "unlimited", "max"}:
        return f"write a number that is large enough: --{long_name(param)} 1000000"
    names = "/".join((*param.opts, *param.secondary_opts))
    return f"{names} {param.metavar}: {param.help}" if param.metavar and not value else ""


def _for_usage(error: click.BadOptionUsage, context: click.Context | None) -> str:
    for param in context.command.params if context is not None else ():
        if isinstance(param, click.Option) and error.option_name in param.opts:
            if param.is_flag:
                return f"{error.option_name} alone turns it on"
            return f"{', '.join(param.opts)} {param.metavar or ''}: {param.help}"
    return ""


def _for_missing(context: click.Context | None) -> str:
    if context is None:
        return ""
    import os

    name = context.info_name or ""
    if os.path.exists(name):
        return f"for the list of this name: scraper ./{name}"
    return " ".join(context.get_usage().removeprefix("Usage: ").split())


def _for_extra(error: click.ClickException, context: click.Context | None) -> str:
    if context is None or not isinstance(error, click.UsageError):
        return ""
    if "unexpected extra argument" in error.message:
        return " ".join(context.get_usage().removeprefix("Usage: ").split())
    return ""


def _names_of(command: click.Command) -> list[str]:
    names = [opt for param in command.params for opt in (*param.opts, *param.secondary_opts)]
    return [name for name in names if name.startswith("--")] + ["--help"]
