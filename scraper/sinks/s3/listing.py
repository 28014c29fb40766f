"""A page of a list of objects: the XML of ListObjectsV2, in the words of boto3's answer.

A document type is refused: its entities could make a short text long.
https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html (Response Syntax)

Owns: that text. Does not know: requests.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote_plus
from xml.parsers import expat

from scraper.model.dates import parse_rfc3339
from scraper.sinks.s3.errors import no_list

_OF_PAGE = {"IsTruncated", "NextContinuationToken", "EncodingType"}
_OF_OBJECT = {"Key", "Size", "ETag", "LastModified", "StorageClass"}


class _Page:
    """What has been read of a page."""

    def __init__(self) -> None:
        self.told: dict[str, str] = {}
        self.objects: list[dict[str, str]] = []
        self.folders: list[str] = []
        self._root = ""
        self._path: list[str] = []
        self._text: list[str] = []
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.StartDoctypeDeclHandler = self._refuse
        self._parse = parser.Parse

    def read(self, content: bytes) -> None:
        """Read all of it. Raises ValueError and ExpatError."""
        self._parse(content, True)  # noqa: FBT003 - expat takes no names
        if self._root != "ListBucketResult":
            raise ValueError(f"its root is <{self._root}>")

    def _start(self, name: str, _attributes: object) -> None:
        self._path.append(name.rpartition(":")[2])
        self._root = self._root or self._path[0]
        self._text.clear()
        if self._path[1:] == ["Contents"]:
            self.objects.append({})

    def _end(self, _name: str) -> None:
        path, name = self._path, self._path[-1]
        text = "".join(self._text)
        if len(path) == 2 and name in _OF_PAGE:
            self.told[name] = text
        elif len(path) == 3 and path[1] == "Contents" and name in _OF_OBJECT:
            self.objects[-1][name] = text
        elif path[1:] == ["CommonPrefixes", "Prefix"]:
            self.folders.append(text)
        path.pop()
        self._text.clear()

    def _refuse(self, *_: object) -> None:
        raise ValueError("a document type")


def parse_list(content: bytes, endpoint: str) -> dict[str, Any]:
    """The page. Raises S3Error for what is none."""
    page = _Page()
    try:
        page.read(content)
        quoted = page.told.get("EncodingType") == "url"
        contents = [_object(found, quoted=quoted) for found in page.objects]
    except (expat.ExpatError, ValueError, KeyError) as error:
        raise no_list(endpoint, error) from None
    folders = map(unquote_plus, page.folders) if quoted else page.folders
    return {
        "Contents": contents,
        "CommonPrefixes": [{"Prefix": folder} for folder in folders],
        "IsTruncated": page.told.get("IsTruncated") == "true",
        "NextContinuationToken": page.told.get("NextContinuationToken", ""),
    }


def next_token(page: Mapping[str, Any], asked: str | None, endpoint: str) -> str:
    """Where the next page begins, "" if this one is the last. `asked`: where this one began.

    Raises S3Error for what is no page, and for one that would be asked for for ever.
    """
    if "IsTruncated" not in page:  # boto3 makes an empty answer of any XML
        raise no_list(endpoint, "IsTruncated")
    token = str(page.get("NextContinuationToken", ""))
    if page["IsTruncated"] and token in {"", asked}:
        raise no_list(endpoint, "NextContinuationToken")
    return token if page["IsTruncated"] else ""


def _object(found: dict[str, str], *, quoted: bool) -> dict[str, Any]:
    modified_ms = parse_rfc3339(found["LastModified"])
    if modified_ms is None:
        raise ValueError(f"{found['LastModified']!r} is no date")
    return {
        **found,
        "Key": unquote_plus(found["Key"]) if quoted else found["Key"],
        "Size": int(found["Size"]),
        "ETag": found.get("ETag", ""),
        "LastModified": datetime.fromtimestamp(modified_ms / 1000, UTC),
    }
