"""The list of one shard: what the lists of a run have for its hosts, with where each line stood.

    lists = ShardLists(division, 40, rule, keep)     # planning: keep(shard, bytes) appends
    lists.read(source)
    lists.finish()
    read_shard_list(Source(..., of_shard=True), rule)  # the run of the shard

So a shard reads its own lines, and not those of all others. A line of such a list is one of

    ={"source": "urls.txt"}                  what follows is of this list
    12<TAB>http://host/path                  line 12 of it, as it stands
    13<TAB>{"url": "http://host/", ...}      a target of a list that is not one of lines
    14<TAB>!{"listed": "x", "why": "..."}    a line that names no target

Most lines are copied, and parsed by the shard alone. That is so where `ShardFilter` sees the host
without parsing them, and the key rule is `url` or `hash`. Each line goes where `--shard I/N` would
find it.

Owns: that form. Does not know: where it lies (`sinks/shard_lists.py`). Rejected: copies of the
lists' own lines. A CSV needs its header, a sitemap has no lines, and line numbers would be lost.
Rejected: pickle. Whoever can write into a destination could run a program by it.
"""

import json
from collections.abc import Iterator
from typing import Any

from scraper.model.errors import BadTarget, ListError
from scraper.model.expected import Expected
from scraper.model.records import Mirror, Target
from scraper.model.shards import Division
from scraper.model.urls import redact
from scraper.source import lists
from scraper.source.keys import KeyRule, hash_key, url_key
from scraper.source.line import Line
from scraper.source.lines import BLANK, check_length, nobody
from scraper.source.lists import Read, bad_line, target_of
from scraper.source.plain import plain_target
from scraper.source.shard_buffers import BUFFER_BYTES, Keep, ShardBuffers
from scraper.source.shard_filter import host_of, text_of
from scraper.source.sources import Source

_MOST = 1 << 17  # hosts that are remembered
_SECRET = (b"=", b"@", b"%")  # a line without one of these has no secret
_PLAIN_RULES = (url_key, hash_key)


class ShardLists:
    """Writes the lists of all shards. `keep` is called with a shard and bytes to append to its own.

    `looks`: whether it looks for secrets. `most`: bytes in memory.
    `lines`: of each shard, with bad ones. `secret`: the first line that has a secret in its URL or
    its headers, as `source:line`, "" if none has one, or nobody `looks`.
    """

    def __init__(  # noqa: PLR0913 - what a list is divided by, and how
        self,
        division: Division,
        shards: int,
        rule: KeyRule,
        keep: Keep,
        *,
        looks: bool = True,
        most: int = BUFFER_BYTES,
    ) -> None:
        self.lines = [0] * shards
        self.secret = ""
        self._division, self._rule, self._looks = division, rule, looks
        self._buffers = ShardBuffers(keep, most)
        self._named = [""] * shards  # the list that is named last in each
        self._source, self._number = "", 0
        self._shards: dict[bytes, int] = {}

    def read(self, source: Source) -> None:
        """Divide `source`. Raises as `lists.read` does, and what `keep` raises."""
        copies = self._rule in _PLAIN_RULES and source.format in {None, "lines"}
        self._source, self._number = source.name, 0
        passes_over = self._copies if copies and not source.unseen else None
        for item in lists.read(source, self._rule, nobody, passes_over):
            shard, number, text = self._form(item)
            self._append(shard, number, text.encode())

    def finish(self) -> None:
        """Keep what is still in memory."""
        self._buffers.finish()

    def _copies(self, line: object) -> bool:
        """Copy `line` if its shard can be seen."""
        self._number += 1
        text = text_of(line)
        if text is None:
            return False
        shard = self._shards.get(text)
        if shard is None:
            if (host := host_of(text)) is None:
                return False
            if len(self._shards) >= _MOST:
                self._shards.clear()
            shard = self._shards[text] = self._division.shard_of(host)
        assert isinstance(line, bytes)
        if self._looks and not self.secret and any(sign in line for sign in _SECRET):
            shown = line.decode("utf-8", "replace")
            self._see_secret(self._number, is_one=redact(shown) != shown)
        self._append(shard, self._number, line.rstrip(b"\r\n"))
        return True

    def _form(self, item: Read) -> tuple[int, int, str]:
        """The shard, the number and the text of what was parsed."""
        if isinstance(item, Target):
            self._see_secret(item.line, is_one=_is_secret(item))
            return self._division.shard_of(item.host), item.line, json.dumps(_fields(item))
        target, failure = item.target, item.failure
        assert failure is not None
        bad = {"listed": target.listed, "why": failure.message, "source": target.source}
        return 0, target.line or 0, f"!{json.dumps(bad)}"

    def _see_secret(self, number: int, *, is_one: bool) -> None:
        if is_one and not self.secret:
            self.secret = f"{self._source}:{number}"

    def _append(self, shard: int, number: int, text: bytes) -> None:
        line = b"%d\t%s\n" % (number, text)
        if self._named[shard] != self._source:
            self._named[shard] = self._source
            line = b"=%s\n%s" % (json.dumps({"source": self._source}).encode(), line)
        self.lines[shard] += 1
        self._buffers.append(shard, line)


def read_shard_list(source: Source, rule: KeyRule) -> Iterator[Read]:
    """What the list of a shard has. Raises ListError if it is none."""
    name, plain = "", rule is url_key
    line_of = Line(source, nobody)
    for raw in source.open():
        if raw.startswith(b"="):
            name = str(_loads(raw[1:], source)["source"])
            line_of = Line(source._replace(name=name, format="lines"), nobody)
            continue
        place, _, rest = raw.rstrip(b"\r\n").partition(b"\t")
        if not place.isdigit():
            raise ListError(f"{source.name!r} is no list of a shard")
        number = int(place)
        if rest.startswith(b"{"):
            yield _target(_loads(rest, source), number, name)
        elif rest.startswith(b"!"):
            bad = _loads(rest[1:], source)
            yield bad_line(str(bad["listed"]), number, str(bad["source"]), str(bad["why"]))
        elif (item := _read_line(rest, number, rule, line_of, plain=plain)) is not None:
            yield item


def _read_line(
    raw: bytes, number: int, rule: KeyRule, line_of: Line, *, plain: bool
) -> Read | None:
    """What one line means. See `lists.read`."""
    name = line_of.source
    shown: bytes | str = raw
    try:
        check_length(raw)
        text = raw.decode().strip(BLANK)
        if plain and (target := plain_target(text, number, name)) is not None:
            return target
        if (parts := line_of.parts(text)) is None:
            return None
        shown = parts[0]
        return target_of(parts, number, rule, line_of)
    except UnicodeDecodeError:
        return bad_line(raw, number, name, "line is not UTF-8")
    except BadTarget as error:
        return bad_line(shown, number, name, error.message)


def _loads(text: bytes, source: Source) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ListError(f"{source.name!r} is no list of a shard")
    return found


def _fields(target: Target) -> dict[str, Any]:
    """All of a target but where it stands."""
    expected = target.expected
    facts = {
        "listed": target.listed,
        "url": target.url,
        "host": target.host,
        "key": target.key,
        "source": target.source,
        "headers": dict(target.headers),
        "userinfo": target.userinfo,
        "places": target.places,
        "expected": expected and [expected.size, expected.digests, expected.first],
        "lastmod": target.lastmod,
        "mirrors": [[one.listed, one.url, one.host, one.userinfo] for one in target.mirrors],
    }
    return {name: value for name, value in facts.items() if value}


def _target(fields: dict[str, Any], number: int, name: str) -> Target:
    expected = fields.get("expected")
    if expected is not None:
        digests = tuple((str(one), str(value)) for one, value in expected[1])
        expected = Expected(expected[0], digests, expected[2])
    return Target(
        fields["listed"],
        fields["url"],
        fields["host"],
        fields["key"],
        number,
        fields.get("source", name),
        fields.get("headers", {}),
        fields.get("userinfo", ""),
        fields.get("places", 1),
        expected,
        fields.get("lastmod"),
        tuple(Mirror(*one) for one in fields.get("mirrors", ())),
    )


def _is_secret(target: Target) -> bool:
    if target.headers or target.userinfo or redact(target.listed) != target.listed:
        return True
    return any(one.userinfo or redact(one.listed) != one.listed for one in target.mirrors)
