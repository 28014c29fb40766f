"""ShardFilter: which lines of a list belong to one shard, found before they are parsed.

Each of N machines reads the whole list, so a line of another shard must cost little. Most lines
begin with a host that can be seen without parsing, and a look-up tells its shard. Every machine
looks in the same way, so exactly one of them takes such a line, also if it turns out to name no
target. All other lines are parsed by every machine. Then the host tells the shard, and a line that
names no target belongs to shard 0.

Two shards must not make one key, since nobody would notice. By the rules `url` and `hash` they
can't. A key that the list gives must lie in the directory of its host, else the target fails.

Owns: that look. Does not know: what a line means (`lists.py`), what a shard is (`model/shards.py`).
Rejected: judging the keys of all lines in each shard. That costs each of them as much as one run
of the whole list.
"""

import re
from collections.abc import Callable, Iterator

from scraper.model import urls
from scraper.model.errors import Kind
from scraper.model.records import Failed, Failure, Result, Target
from scraper.model.shards import Shard
from scraper.source import lists
from scraper.source.keys import KeyRule, hash_key, host_segment
from scraper.source.lines import Note, nobody
from scraper.source.lists import Read
from scraper.source.sources import Source

_SCHEMES = {b"http:", b"https:"}
_PLAIN = b"abcdefghijklmnopqrstuvwxyz0123456789.-"
_PORT = re.compile(rb"([a-z0-9.-]+):([1-9][0-9]{0,4})").fullmatch
_DEFAULT = {b"80", b"443"}  # of which the scheme decides whether they are part of the name
_MOST = 1 << 17  # hosts that are remembered


class ShardFilter:
    """The lines of `shard`. `rule` makes keys. Used by the thread that reads lists."""

    def __init__(
        self,
        shard: Shard,
        rule: KeyRule,
        note: Note = nobody,
        stopped: Callable[[], bool] = bool,
    ) -> None:
        self._shard, self._rule, self._note, self._stopped = shard, rule, note, stopped
        self._is_known = False  # whose the line is that was looked at last
        self._ours = _Ours(shard)
        self._keys = HostKeys(rule)

    def read(self, source: Source) -> Iterator[Read]:
        """The targets of `source` that are in the shard. See `lists.read`."""
        self._is_known = source.of_shard  # all of it is ours
        items = lists.read(source, self._rule, self._note, self._passes_over, self._stopped)
        for item in items:
            if (ours := self._judge(item)) is not None:
                yield ours

    def _passes_over(self, line: object) -> bool:
        """Whether `line` is of another shard for certain."""
        text = text_of(line)
        ours = None if text is None else self._ours[text]
        self._is_known = ours is not None
        return ours is False

    def _judge(self, item: Read) -> Read | None:
        """What `item` is to this shard: itself, None if it is another's, or a failed Result."""
        if not isinstance(item, Target):
            return item if self._is_known or self._shard.number == 0 else None
        if not (self._is_known or self._shard.has(item.host)):
            return None
        if item in self._keys:
            return item
        return _refused(item, self._keys.directory(item))


class HostKeys:
    """The targets whose key no target of another host can have. `rule` makes keys."""

    def __init__(self, rule: KeyRule) -> None:
        self._hashes = rule is hash_key
        self._directories: dict[str, str] = {}

    def __contains__(self, target: Target) -> bool:
        if target.key.startswith(self.directory(target)):
            return True
        return self._hashes and target.key.startswith(hash_key(urls.parse(target.url)))

    def directory(self, target: Target) -> str:
        """The directory of its host, with a slash."""
        origin = target.url[: target.url.index("/", 8)]  # behind https://
        found = self._directories.get(origin)
        if found is None:
            found = host_segment(urls.parse(f"{origin}/").origin) + "/"
            if len(self._directories) >= _MOST:
                self._directories.clear()
            self._directories[origin] = found
        return found


class _Ours(dict[bytes, bool | None]):
    """Whether a host, as it stands in a line, is in the shard. None: that can't be seen."""

    def __init__(self, shard: Shard) -> None:
        super().__init__()
        self._shard = shard

    def __missing__(self, text: bytes) -> bool | None:
        host = host_of(text)
        ours = None if host is None else self._shard.has(host)
        if len(self) >= _MOST:
            self.clear()
        self[text] = ours
        return ours


def text_of(line: object) -> bytes | None:
    """What stands between the slashes of a line that begins with a URL. None for other lines."""
    if isinstance(line, bytes):
        parts = line.split(b"/", 3)
        if len(parts) == 4 and not parts[1] and parts[0] in _SCHEMES:
            return parts[2]
    return None


def host_of(text: bytes) -> str | None:
    """The host (`Origin.host`) of what stands between the slashes, None if parsing decides that.

    It is what the URL standard makes of the text, or the text is no host: an IPv4 address has many
    spellings, and ends with a number; punycode may be invalid.
    """
    name = text
    if text.translate(None, _PLAIN):
        found = _PORT(text)
        if found is None or found[2] in _DEFAULT or int(found[2]) > 65535:
            return None
        name = found[1]
    last = name[name.rfind(b".") + 1 :]
    if not last[:1].isalpha() or b"xn--" in name:
        return None
    return str(text, "ascii")


def _refused(target: Target, directory: str) -> Result:
    why = f"with --shard its key must begin with {directory!r}: another shard may have the same key"
    return Result(target, Failed(Failure(Kind.BAD_URL, why, transient=False)))
