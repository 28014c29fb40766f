"""The options of `scraper.run`: every one that Settings has, with the same type."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from scraper.model.errors import UsageError
from scraper.model.options import Options, in_python, unknown
from scraper.model.settings import Budget, Settings
from scraper.model.shards import Shard
from tests.options import OPTIONS

PREFIXES = {"s3": "s3_"}
# Options that Python gives in more forms than Settings keep, and those of few words.
WIDER: dict[str, Any] = {
    "manifest": str | os.PathLike[str] | None,
    "cacert": str | os.PathLike[str] | None,
    "cookies": str | os.PathLike[str] | None,
    "cert": str | os.PathLike[str] | None,
    "cert_key": str | os.PathLike[str] | None,
    "max_failures": int | str | Budget | None,
    "headers": Mapping[str, str] | Sequence[str | tuple[str, str]] | None,
    "resolve": str | Sequence[str] | None,
    "robots_tags": str | Sequence[str] | None,
    "processes": int | Literal["auto"] | None,
    "retry_on": str | Iterable[str | int] | None,
    "shard": str | None,
}
WORDS = {"lock", "engine", "s3_client", "store_compressed"}


def leaves() -> dict[str, Any]:
    """The type of every option that Settings have, by its flat name."""
    found: dict[str, Any] = {}
    hints = get_type_hints(Settings, localns={"Shard": Shard})
    for field in fields(Settings):
        branch = hints[field.name]
        if branch is Budget or not hasattr(branch, "__dataclass_fields__"):
            found[field.name] = branch
        else:
            prefix = PREFIXES.get(field.name, "")
            found |= {prefix + name: kind for name, kind in get_type_hints(branch).items()}
    return found


def test_the_options_are_the_fields_of_settings_with_their_types() -> None:
    options, settings = get_type_hints(Options), leaves()
    del settings["to"]  # a parameter of its own
    assert options.keys() == settings.keys()
    for name, kind in settings.items():
        if name not in WORDS:
            assert options[name] == WIDER.get(name, kind | None), name


@pytest.mark.parametrize("name", sorted(WORDS))
def test_the_words_of_an_option_are_those_that_settings_take(name: str) -> None:
    kind, nothing = get_args(get_type_hints(Options)[name])
    assert (get_origin(kind), nothing) == (Literal, type(None))
    words = get_args(kind)
    for word in words:
        Settings.of(**{name: word})
    with pytest.raises(UsageError) as caught:
        Settings.of(**{name: "another"})
    said = str(caught.value).partition(" is not ")[2]
    assert set(said.replace(" or ", ", ").split(", ")) == set(words)


def test_every_option_of_the_command_line_that_a_run_has_is_named_in_python() -> None:
    ours = {
        "to",
        "dry-run",
        "results",
        "log-format",
        "log-file",
        "quiet",
        "verbose",
        "stats",
        "progress",
        "metrics",
        "metrics-port",
    }
    for option in OPTIONS:
        if option.parameter in Options.__annotations__:
            assert in_python(f"--{option.name} is") == f"{option.parameter} is"
            if option.value is False:
                assert in_python(f"--no-{option.name} is") == f"{option.parameter} is"
        elif option.name not in ours:
            assert in_python(f"--{option.name} is") == f"--{option.name} is"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("threads", ": did you mean max_concurrency?"),
        ("timeout", ": did you mean max_time?"),
        ("max_concurency", ": did you mean max_concurrency?"),
        ("header", ": did you mean headers?"),
        ("thinking", ""),
    ],
)
def test_an_unknown_option_is_told_what_was_meant(name: str, said: str) -> None:
    assert unknown([name]) == f"unknown option {name}{said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("--max-size and --lock, --header", "max_size and lock, headers"),
        ("--to 's3://' names no bucket", "to 's3://' names no bucket"),
        ("longer than --max-size 5 bytes", "longer than max_size 5 bytes"),
        ("--max-failures '--lock' is not N", "max_failures '--lock' is not N"),
        ('--key "--lock" is', 'key "--lock" is'),
        (
            "--help, --max-sizes, --max-size-of, ---lock",
            "--help, --max-sizes, --max-size-of, ---lock",
        ),
        ("a--lock and http://h/--lock/", "a--lock and http://h/--lock/"),
    ],
)
def test_a_message_has_options_as_python_names_them(text: str, said: str) -> None:
    assert in_python(text) == said


def test_an_unknown_option_is_told_with_the_likeliest_one() -> None:
    assert unknown(["lock", "engine"]) is None
    assert unknown(["engnie"]) == "unknown option engnie: did you mean engine?"
    assert unknown(["zzz"]) == "unknown option zzz"
