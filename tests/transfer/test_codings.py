"""Which codings are undone, and which stay because the name or the media type says them too."""

import pytest

from scraper.model.codings import only_codings
from scraper.transfer.codings import Codings, codings

KEPT = [
    ("gzip", None, "a/x.tar.gz"),
    ("x-gzip", "application/x-tar", "x.tar.gz"),
    ("GZIP", "text/html", "X.TGZ"),
    ("gzip", "image/svg+xml", "x.svgz"),
    ("gzip", "application/warc", "x.warc.gz"),
    ("gzip", "application/gzip", "page"),
    ("gzip", "Application/X-Gzip; charset=x", "page.html"),
    ("gzip", "application/warc+gzip", "1"),
    ("br", None, "x.js.br"),
    ("zstd", None, "x.tar.zst"),
    ("zstd", "application/zstd", "x"),
    ("compress", None, "x.tar.Z"),
    ("x-bzip2", None, "x.tar.bz2"),
    ("xz", None, "x.txz"),
]


@pytest.mark.parametrize(("said", "media_type", "name"), KEPT)
def test_what_the_name_or_the_type_says_stays(said: str, media_type: str | None, name: str) -> None:
    undone, kept, left = codings(said, media_type, (name, "other.html"))
    assert (undone, left) == ((), said)
    assert kept is not None


@pytest.mark.parametrize(
    ("said", "media_type", "name"),
    [
        ("gzip", "text/html", "x.html"),
        ("gzip", None, "x"),
        ("gzip", None, "gz"),
        ("gzip", None, "x.gz/page"),
        ("gzip", "application/x-tar", "x.tar"),
        ("br", None, "x.tar.gz"),
        ("gzip", "application/zstd", "x.zst"),
        ("gzip", "application/json", "x.br"),
    ],
)
def test_all_others_are_undone(said: str, media_type: str | None, name: str) -> None:
    assert codings(said, media_type, (name,)) == Codings((said,), None, None)


def test_the_url_speaks_for_a_key_without_an_ending() -> None:
    url = "http://a/x.tar.gz"
    assert codings("gzip", None, ("latest", url)).kept == "gzip"
    assert codings("gzip", None, ("x.tar", url)).kept is None  # so the user calls it
    assert codings("gzip", None, ("x--abc", url)).kept == "gzip"


def test_what_was_put_around_the_kept_one_is_undone() -> None:
    assert codings("gzip, br", None, ("x.gz",)) == Codings(("br",), "gzip", "gzip")
    assert codings("x-gzip, gzip", None, ("x.gz",)) == Codings(("gzip",), "gzip", "x-gzip")
    assert codings("br, gzip", None, ("x.gz",)) == Codings(("br", "gzip"), None, None)


@pytest.mark.parametrize(
    ("said", "undone", "left"),
    [
        ("aws-chunked,gzip", ("gzip",), "aws-chunked"),
        ("gzip, utf-8", ("gzip",), "utf-8"),
        ("utf-8", (), "utf-8"),
        ("none,binary", (), "none, binary"),
        ("identity", (), None),
        ("", (), None),
        (" , ", (), None),
        ("x-deflate", ("deflate",), None),
    ],
)
def test_tokens_that_name_no_coding_are_left_and_recorded(
    said: str, undone: tuple[str, ...], left: str | None
) -> None:
    assert codings(said, "text/html", ("x.html",)) == Codings(undone, None, left)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("utf-8", None),
        ("aws-chunked,gzip", "gzip"),
        ("x-gzip", "x-gzip"),
        ("gzip , br", "gzip, br"),
    ],
)
def test_a_store_is_told_of_codings_only(value: str | None, expected: str | None) -> None:
    assert only_codings(value) == expected
