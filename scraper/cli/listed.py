"""The keys that lists name, for `scraper list --unlisted`.

Owns: reading the lists, and that a list without any target is wrong usage: by an empty list all
of a destination would be unlisted. Does not know: what is stored, the network. A list at a URL is
refused; a run fetches those with options that this command does not have.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from scraper.manifest import Reading
from scraper.manifest.key_set import KeySet
from scraper.model.errors import UsageError
from scraper.model.records import Target
from scraper.model.urls import redact
from scraper.source import lists
from scraper.source.grammar import grammar_of
from scraper.source.keys import KeyRule, make_rule
from scraper.source.sources import RemoteList, Source, open_sources
from scraper.source.stored_form import in_form


class Listed(NamedTuple):
    """The keys that lists name. `bad` is how many of their lines name no target."""

    keys: KeySet
    bad: int


@contextmanager
def listed(
    names: Sequence[str],
    template: str,
    reading: Reading,
    grammar: Mapping[str, Any],
    form: str | None = None,
) -> Iterator[Listed]:
    """The keys that the lists `names` give their targets now by the rule `template`.

    `form`: that of --store-compressed. `grammar`: the options of `grammar_of`, which say how these
    lists are read.
    Raises UsageError (ListError too) for a list that can't be read or names no target.
    """
    rule = make_rule(template, datetime.now().astimezone())
    sources = open_sources(names, _refuse, grammar_of(**grammar))
    with closing(KeySet(reading)) as keys:
        yield Listed(keys, sum([_add(keys, source, rule, form) for source in sources]))


def _add(keys: KeySet, source: Source, rule: KeyRule, form: str | None) -> int:
    """Add the keys of one list. How many of its lines name no target."""
    good = bad = 0

    def named() -> Iterator[str]:
        nonlocal good, bad
        for item in lists.read(source, rule):
            if isinstance(item, Target):
                good += 1
                yield item.key if form is None else in_form(item, form).key
            else:
                bad += 1

    keys.update(named())
    if not good:
        raise UsageError(f"--unlisted {source.name!r}: no line of this list names a target")
    return bad


def _refuse(url: str) -> RemoteList:
    raise UsageError(f"--unlisted {redact(url)!r}: fetch this list into a file first")
