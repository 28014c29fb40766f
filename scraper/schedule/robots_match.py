"""Allow and Disallow: which URLs they match, and which of them decides (RFC 9309 2.2.2, 2.2.3).

    rules = match_rules([Rule(allows=False, path=b"/private")])
    rules.allows(b"/private/page")      # False

Both texts are compared as octets, in one spelling. The longest rule that matches decides; its
length is that of the path as it was written. Of rules that are as long, Allow does.

Rules without `*` stand in a dict by their spelling, so 20,000 of them cost a URL as many look-ups
as they have lengths. Rules with `*` are tried, the longest first.

Owns: that spelling, and the comparison. Does not know: groups and lines (`robots.py`). Rejected:
Protego. It counts the octets after encoding, compares `%E9` and `%E8` as the same character, and
takes a `$` at the end for the character too.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

# Octets that stand for themselves: unreserved, and reserved but for three (RFC 3986 2.2, 2.3). In
# a rule `*` and `$` are special (RFC 9309 2.2.3). A browser's URL has %27 for ' in its query.
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PLAIN = _UNRESERVED | frozenset(b":/?#[]@!&()+,;=")
_ODD = re.compile(rb"%[0-9A-Fa-f]{2}|[^" + re.escape(bytes(sorted(_PLAIN))) + rb"]")
_IN_QUERY = re.compile(rb"%(?:2F|3A)")
_QUERY_OCTETS = {b"%2F": b"/", b"%3A": b":"}
_INDEX = re.compile(rb"(.*/)index\.htm[^/]*", re.DOTALL)


class Rule(NamedTuple):
    """A line of a group. `path` is its value as it was written, not empty."""

    allows: bool
    path: bytes


class Decision(NamedTuple):
    """A rule that matches: the octets of its path, and what it says. The largest one decides."""

    octets: int
    allows: bool


class _Wild(NamedTuple):
    """A rule with `*`: two or more `pieces` stand in this order, the first one at the start."""

    decision: Decision
    pieces: tuple[bytes, ...]
    anchored: bool

    def matches(self, path: bytes) -> bool:
        first, *others = self.pieces
        if not path.startswith(first):
            return False
        at = len(first)
        last = others.pop() if self.anchored else b""
        for piece in others:
            at = path.find(piece, at)
            if at < 0:
                return False
            at += len(piece)
        return not self.anchored or (len(path) - at >= len(last) and path.endswith(last))


class _Table(NamedTuple):
    """Rules of one spelling. `whole`: those with an anchor. `lengths`: of the keys of `plain`."""

    plain: Mapping[bytes, Decision]
    lengths: tuple[int, ...]
    whole: Mapping[bytes, Decision]
    wild: tuple[_Wild, ...]

    def best(self, path: bytes) -> Decision | None:
        found = [self.plain.get(path[:length]) for length in self.lengths if length <= len(path)]
        best = max(filter(None, [*found, self.whole.get(path)]), default=None)
        for rule in self.wild:  # the one that would decide stands first
            if best is not None and rule.decision <= best:
                break
            if rule.matches(path):
                return rule.decision
        return best


class Rules(NamedTuple):
    """The rules of one group, ready to be asked.

    `of_queries` are those with a `?`, in the spelling where the query has no %2F and %3A: in RFC
    9309 2.2.2 `/a?b=https://c` and `/a?b=https%3A%2F%2Fc` are one path. `weight` is about what
    they take in memory, in bytes.
    """

    all: _Table
    of_queries: _Table
    weight: int

    def allows(self, path: bytes) -> bool:
        """Whether a URL of this `path`, with its query, may be fetched."""
        spelled = spelling(path)
        found = [self.all.best(spelled)]
        if b"?" in spelled:
            found.append(self.of_queries.best(_query_decoded(spelled)))
        best = max(filter(None, found), default=None)
        return best is None or best.allows


def match_rules(rules: Iterable[Rule]) -> Rules:
    """The rules of a group. Those that no URL can match are left out."""
    every: list[tuple[Decision, bytes]] = []
    for rule in rules:
        if rule.path[:1] not in {b"/", b"*"}:
            continue
        every.append((Decision(len(rule.path), rule.allows), rule.path))
        if rule.allows and (found := _INDEX.fullmatch(rule.path)):
            folder = found[1] + b"$"  # Google: a page `index.html` is the folder itself
            every.append((Decision(len(folder), allows=True), folder))
    spelled = [(decision, _pattern(path)) for decision, path in every]
    queries = [(said, _query_decoded(pattern)) for said, pattern in spelled if b"?" in pattern]
    weight = sum(140 + len(path) + 45 * path.count(b"*") for _, path in (*spelled, *queries))
    return Rules(_table(spelled), _table(queries), weight)


def is_wild(path: bytes) -> bool:
    """Whether a rule of this `path` must be tried for each URL."""
    return b"*" in path or path.endswith(b"$")


def spelling(path: bytes) -> bytes:
    """`path` with each octet in one form, so that equal paths are equal octets.

    An octet is itself if it is unreserved or reserved, else `%XX` in upper case. A reserved one
    that is encoded stays so: `%2F` is no `/` (RFC 9309 2.2.2).
    """
    return _ODD.sub(_spelled, path)


def _spelled(found: re.Match[bytes]) -> bytes:
    odd = found[0]
    if len(odd) == 1:
        return b"%%%02X" % odd[0]
    octet = int(odd[1:], 16)
    return bytes([octet]) if octet in _UNRESERVED else odd.upper()


def _pattern(path: bytes) -> bytes:
    """The spelling of a rule's path; `*`, and `$` at its end, are still special."""
    end = b"$" if path.endswith(b"$") else b""
    return b"*".join(map(spelling, path.removesuffix(b"$").split(b"*"))) + end


def _query_decoded(path: bytes) -> bytes:
    head, mark, query = path.partition(b"?")
    return head + mark + _IN_QUERY.sub(lambda found: _QUERY_OCTETS[found[0]], query)


def _table(rules: Iterable[tuple[Decision, bytes]]) -> _Table:
    plain: dict[bytes, Decision] = {}
    whole: dict[bytes, Decision] = {}
    wild: set[_Wild] = set()
    for decision, pattern in rules:
        anchored, path = pattern.endswith(b"$"), pattern.removesuffix(b"$")
        if b"*" in path:
            wild.add(_Wild(decision, tuple(path.split(b"*")), anchored))
        else:
            table = whole if anchored else plain
            table[path] = max(decision, table.get(path, decision))
    first = sorted(wild, key=lambda rule: rule.decision, reverse=True)
    return _Table(plain, tuple(sorted({*map(len, plain)})), whole, tuple(first))
