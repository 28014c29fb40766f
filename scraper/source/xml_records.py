"""XML records: the elements of a list in XML that say something, one after another.

A sitemap has `<url>`, a feed `<item>`, Metalink `<file>`. Each comes as a small tree, and is
forgotten then, so memory stays flat.

Such a list comes from strangers. No external entity is read. A declaration of an entity is
refused, so none can grow (https://en.wikipedia.org/wiki/Billion_laughs_attack). Depth, the size of
one record, and that of one piece of markup are bounded.

Owns: that reading. Does not know: what elements mean (`sitemaps.py` and others), where bytes come
from. Rejected: ElementTree.iterparse, which keeps every element of a list with its siblings, and
expands entities; lxml, which is no part of Python. A list that is no well-formed XML is not mended:
nobody knows what was lost.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple
from xml.parsers import expat

from scraper.model.errors import ListBroken, ListError

_MAX_DEPTH = 200
_MAX_MARKUP_BYTES = 1 << 20  # of a tag, a comment and the like
_MAX_RECORD_CHARS = 1 << 20  # texts that are kept, and attributes
_MAX_RECORD_ELEMENTS = 20_000


class Shape(NamedTuple):
    """What is looked for: names of elements, without their namespaces.

    `what` is shown: "sitemap". `roots`: one of them has to be the root. `records`: what is yielded.
    `texts`: the elements within a record whose text is kept.
    """

    what: str
    roots: frozenset[str]
    records: frozenset[str]
    texts: frozenset[str]


class Element:
    """An element: its name, namespace, attributes, and children; `text` is its own, joined.

    A name of an attribute with a namespace is `namespace name`.
    """

    __slots__ = ("attributes", "children", "name", "namespace", "text")

    def __init__(self, namespace: str, name: str, attributes: Mapping[str, str]) -> None:
        self.namespace, self.name, self.attributes = namespace, name, attributes
        self.children: list[Element] = []
        self.text = ""

    def texts_of(self, name: str) -> list[str]:
        """The texts of children of that name and of this element's own namespace, stripped."""
        return [
            child.text.strip()
            for child in self.children
            if child.name == name and child.namespace == self.namespace
        ]


def read_records(pieces: Iterable[bytes], name: str, shape: Shape) -> Iterator[Element]:
    """The root of the list `name`, without children, and then every record in it.

    `pieces` are its bytes. Raises ListError if it is no such list, and ListBroken, which names the
    place, where it breaks off. What came before that was yielded.
    """
    reader = _Reader(name, shape)
    for piece in _from_first(pieces):
        yield from reader.feed(piece)
    yield from reader.feed(b"", is_last=True)


def _from_first(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces without blanks at the beginning, which programs write and XML does not allow."""
    left = iter(pieces)
    for piece in left:
        if begun := piece.lstrip():
            yield begun
            break
    yield from left


class _Unwanted(Exception):
    """What well-formed XML has, and a list must not have."""


class _Reader:
    """Makes records of pieces."""

    def __init__(self, name: str, shape: Shape) -> None:
        self._name, self._shape = name, shape
        self._root: Element | None = None
        self._open: list[Element] = []  # of the record that is being read
        self._depth = 0
        self._chars = self._elements = 0  # of this record
        self._silent = 0  # bytes since something was understood
        self._ready: list[Element] = []
        parser = self._parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = self._entity
        parser.DefaultHandler = self._other

    def feed(self, piece: bytes, *, is_last: bool = False) -> Iterator[Element]:
        """The records that are whole with this piece. See `read_records`."""
        reason = ""
        self._silent += len(piece)
        try:
            self._parser.Parse(piece, is_last)
        except expat.ExpatError as error:
            what = expat.errors.messages.get(error.code, "") or expat.ErrorString(error.code)
            reason = f"{what} (line {error.lineno}, column {error.offset + 1})"
        except (LookupError, ValueError) as error:  # Python knows no such encoding
            reason = str(error)
        except _Unwanted as unwanted:
            parser = self._parser
            at = f"(line {parser.CurrentLineNumber}, column {parser.CurrentColumnNumber + 1})"
            reason = f"{unwanted} {at}"
        if not reason and self._silent > _MAX_MARKUP_BYTES:
            reason = f"a piece of markup is longer than {_MAX_MARKUP_BYTES:,} bytes"
        ready, self._ready = self._ready, []
        yield from ready
        if reason and self._root is None:
            raise ListError(f"the list {self._name!r} is no {self._shape.what}: {reason}")
        if reason:
            raise ListBroken(f"the list {self._name!r} broke off: {reason}")

    def _start(self, full: str, attributes: dict[str, str]) -> None:
        self._silent = 0
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _Unwanted(f"elements lie more than {_MAX_DEPTH} deep")
        namespace, _, name = full.rpartition(" ")
        if self._root is None:
            if name not in self._shape.roots:
                raise _Unwanted(f"its root element is <{name[:40]}>")
            self._root = Element(namespace, name, attributes)
            self._ready.append(self._root)
        elif self._open:
            self._count(attributes)
            element = Element(namespace, name, attributes)
            self._open[-1].children.append(element)
            self._open.append(element)
        elif name in self._shape.records:
            self._chars = self._elements = 0
            self._count(attributes)
            self._open.append(Element(namespace, name, attributes))

    def _count(self, attributes: Mapping[str, str]) -> None:
        self._elements += 1
        if self._elements > _MAX_RECORD_ELEMENTS:
            raise _Unwanted(f"one record has more than {_MAX_RECORD_ELEMENTS:,} elements")
        if attributes:
            self._count_chars(sum(map(len, attributes)) + sum(map(len, attributes.values())))

    def _count_chars(self, chars: int) -> None:
        self._chars += chars
        if self._chars > _MAX_RECORD_CHARS:
            raise _Unwanted(f"one record is longer than {_MAX_RECORD_CHARS:,} characters")

    def _end(self, _: str) -> None:
        self._silent = 0
        self._depth -= 1
        if self._open:
            element = self._open.pop()
            if not self._open:
                self._ready.append(element)

    def _text(self, data: str) -> None:
        self._silent = 0
        if self._open and self._open[-1].name in self._shape.texts:
            self._count_chars(len(data))
            self._open[-1].text += data

    def _entity(self, *_: object) -> None:
        raise _Unwanted("it declares an entity")

    def _other(self, data: str) -> None:
        """Take a comment, a declaration, or an entity of a DTD that was not read."""
        self._silent = 0
        if data.startswith("&"):
            self._text(data)
