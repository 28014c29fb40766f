"""Playlists as lists."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from scraper.source.grammar import grammar_of
from scraper.source.playlists import of_playlist
from scraper.source.sources import open_sources
from tests.lists import never, read, target

MASTER = """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a, URI=no",NAME="URI=\\"no",URI="audio/en.m3u8"
#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI="skd://key"
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI="iframe.m3u8"

#EXT-X-STREAM-INF:BANDWIDTH=1280000
low/index.m3u8?t=1
# a comment
"""
MEDIA = """#EXTM3U
#EXT-X-TARGETDURATION:6
#EXT-X-MAP:URI="init.mp4",BYTERANGE="1@0"
#EXT-X-KEY:METHOD=AES-128,URI="/keys/1.key",IV=0x1
#EXTINF:6.0,title, with URI="no"
1.m4s
#EXTINF:6.0,
http://other/2.m4s
#EXT-X-ENDLIST
"""


@pytest.mark.parametrize("way", ["l.m3u8", "list", "l.m3u8.gz", "named"])
def test_a_playlist_names_segments_keys_and_playlists(way: str, tmp_path: Path) -> None:
    path = tmp_path / ("list" if way == "named" else way)
    options: dict[str, Any] = {"list_format": "m3u"} if way == "named" else {}
    found = []
    for text in (MASTER, MEDIA):
        content = text.encode()
        path.write_bytes(gzip.compress(content) if way.endswith("gz") else content)
        (source,) = open_sources([str(path)], never, grammar_of(base="http://h/d/x", **options))
        found.append([(target(one).line, target(one).url) for one in read(source)])
    assert found == [
        [
            (3, "http://h/d/audio/en.m3u8"),
            (5, "http://h/d/iframe.m3u8"),
            (8, "http://h/d/low/index.m3u8?t=1"),
        ],
        [
            (3, "http://h/d/init.mp4"),
            (4, "http://h/keys/1.key"),
            (6, "http://h/d/1.m4s"),
            (8, "http://other/2.m4s"),
        ],
    ]


def test_a_tag_without_a_uri_names_nothing() -> None:
    for line in (
        "#EXT-X-ENDLIST",
        "#EXT-X-KEY:METHOD=NONE",
        '#EXT-X-KEY:URI=""',
        "#EXT-X-KEY:URI=a",
    ):
        assert of_playlist(line) is None
