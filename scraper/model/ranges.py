"""Ranges: what a value of an option must be, and the message where it is not.

    whole(1, max_concurrency=0)  # UsageError: --max-concurrency must be a whole number, at least 1

Owns: that message, which names the option as the command line has it. Does not know: the options
(`settings.py`).
"""

import math

from scraper.model.errors import UsageError

_MOST = 1e9  # 31 years in seconds. Time-outs of sockets and locks overflow at 9.2e9.


def require(ok: object, message: str) -> None:
    """Raise UsageError with `message` unless `ok`."""
    if not ok:
        raise UsageError(message)


def whole(least: int, **values: int | None) -> None:
    """Raise UsageError unless each value is None, or a whole number of `least` or more."""
    for name, value in values.items():
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        require(
            value is None or (is_whole and value >= least),
            f"{option(name)} must be a whole number, at least {least}, not {value!r}",
        )


def number(least: float, *, above: bool = False, **values: float | None) -> None:
    """The same for numbers, which are at most _MOST. `above`: `least` itself is too little."""
    for name, value in values.items():
        finite = (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and math.isfinite(value)
            and value <= _MOST
        )
        require(
            value is None or (finite and (value > least if above else value >= least)),
            f"{option(name)} must be a number {'above' if above else 'at least'} {least:g}"
            f" and at most {_MOST:g}, not {value!r}",
        )


def one_of(*choices: str, **values: str) -> None:
    """Raise UsageError unless each value is one of `choices`."""
    *most, last = choices
    for name, value in values.items():
        told = f"{option(name)} {value!r} is not {', '.join(most)} or {last}"
        require(value in choices, told)


def option(name: str) -> str:
    """The option as the command line has it."""
    return "--" + name.replace("_", "-")
