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
from scraper.cli.foreign import OF_COMMANDS, OPTIONS
from scraper.cli.options import CONFIG, long_name, names_of_fetch
from scraper.model.errors import ScraperError

_PREFIX = "SCRAPER_"
_WRONG_VALUE = re.compile(r"--[a-z0-9-]+ (.* )?(is not|must be) ", re.DOTALL)
_CLOSE = 0.7  # of difflib; below it suggestions are guesses
_SURE = 0.8  # nobody means another word then
_NAMED = re.compile(r"(?<![\w-])--[a-z][a-z0-9.-]*[a-z0-9]")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|sec|secs|seconds?|m|min|mins|minutes?|h|hours?|d)")
_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}


def explain(error: click.ClickException | ScraperError, words: Sequence[str]) -> tuple[str, str]:
    """The message and the hint ("" if there is none); `words` are those of the command line."""
    message, hint = _explain(error, words)
    return message, _for_list_named_as_command(words) or hint


def _explain(error: click.ClickException | ScraperError, words: Sequence[str]) -> tuple[str, str]:
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
    named = set(_NAMED.findall(str(error)))
    # Other errors name what can't be used (`--results: ...`), or the way out.
    about_value = len(named) == 1 and _WRONG_VALUE.match(str(error))
    param = params.get(*named) if about_value else None
    if param is not None and _is_measure(param) and not error.hint:
        error.hint = for_value(param)
    if text != str(error):
        error.args = (text, *error.args[1:])
    return error


def _is_measure(param: click.Parameter) -> bool:
    """Whether its values are numbers or a few words: what is wrong of one is the value itself."""
    shape = getattr(param, "metavar", None) or ""
    return isinstance(param.type, click.Choice) or shape in {"N", "N[%]", "S", "BYTES"}


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
    if context is not None and not is_fetch:
        yield OF_COMMANDS.get(context.command.name or "", {}).get(name, "")
    yield meant(near(lower, known, close=_SURE))
    if is_fetch:
        yield near_foreign(lower)
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


def near_foreign(name: str) -> str:
    """What an option of another tool is here, if `name` is a slip of its long name; or ""."""
    found = near(name, [known for known in OPTIONS if known.startswith("--")], close=_SURE)
    return f"{found[0]} is {_answer(found[0])}" if found else ""


def _answer(name: str) -> str:
    answer = OPTIONS[name]
    return f"here {answer}" if answer.startswith("-") else f"another tool's; {answer}"


def _slip(bare: str, known: Iterable[str], prefix: str = "") -> str:
    """The hint for a name without dashes that is none of `known`; `prefix` is put before those."""
    option = "--" + bare.lower().replace("_", "-")
    options = {"--" + one.lower().replace("_", "-"): one for one in known}  # dashes count too

    def ours(close: float) -> str:
        return meant([prefix + options[one] for one in near(option, options, close=close)])

    return foreign(option) or ours(_SURE) or near_foreign(option) or ours(_CLOSE)


def for_variable(name: str, known: Iterable[str]) -> str:
    """The hint for an unknown variable `SCRAPER_...`."""
    bare = name.removeprefix(_PREFIX)
    return _slip(bare, [one.removeprefix(_PREFIX) for one in known], _PREFIX)


def for_key(name: str, known: Iterable[str]) -> str:
    """The hint for an unknown key of the TOML file."""
    if name == "fetch":
        return "options stand at the top of the file, in no table"
    return _slip(name, known)


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
    if param is None or context is None:
        return error.format_message(), ""
    if not isinstance(param, click.Option):
        return error.format_message(), for_value(param, error.message)
    origin = origin_of(param, context)
    shown = origin if " in " in origin else repr(origin)
    return f"Invalid value for {shown}: {error.message}", for_value(param, error.message)


def for_value(param: click.Parameter | None, message: str = "") -> str:
    """What a value of this option looks like: what the wrong one meant, else what its help says.

    `message` is Click's, which begins with the wrong value.
    """
    if param is None:
        return ""
    value = found[1] if (found := re.match(r"'(.*?)' is not ", message)) else ""
    hint = _meant_value(param, value)
    return hint or (described(param) if isinstance(param, click.Option) else "")


def described(option: click.Option) -> str:
    """The option as its help has it, in one line."""
    names = ", ".join((*option.opts, *option.secondary_opts))
    choices = option.type.choices if isinstance(option.type, click.Choice) else ()
    shape = option.metavar or "|".join(map(str, choices))
    return f"{names} {shape}: {option.help}" if shape else f"{names}: {option.help}"


def _meant_value(param: click.Parameter, value: str) -> str:
    """What was meant by a wrong value, or ""."""
    kind = param.type.name
    if isinstance(param.type, click.Choice):
        return meant(near(value, [str(choice) for choice in param.type.choices], close=0.6))
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
    return ""


def _for_usage(error: click.BadOptionUsage, context: click.Context | None) -> str:
    for param in context.command.params if context is not None else ():
        if isinstance(param, click.Option) and error.option_name in param.opts:
            if param.is_flag:
                return f"{error.option_name} alone turns it on"
            return described(param)
    return ""


def _for_list_named_as_command(words: Sequence[str]) -> str:
    """The hint where a command was called and a list of its name may be meant, or "".

    Nothing after it looks like a destination: a directory, or a URL that is not http(s).
    """
    import os

    if not words or words[0] not in COMMANDS or not os.path.isfile(words[0]):
        return ""
    for word in words[1:]:
        if os.path.isdir(word) or re.match(r"(?!https?:)[a-z0-9]+://", word):
            return ""
    return f"for the list of this name: scraper ./{words[0]}"


def _for_missing(context: click.Context | None) -> str:
    if context is None:
        return ""
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
