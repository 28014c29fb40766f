"""Our SURT of a URL is that of the package `surt`, whichever of the two makes it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surt import surt

from scraper.model.urls import parse
from scraper.sinks.warc.surts import surt_of

ODD = [
    "http://example.com",
    "https://www.example.com/a/B?x=1&a=2",
    "http://example.com:80/",
    "http://example.com/%7Eu",
    "https://example.com:443/x/",
    "http://example.com:8080/a",
    "http://www2.example.com/",
    "http://a.www.com/x",
    "http://127.0.0.1:8000/",
    "http://example.com/a//b",
    "http://example.com/a?",
    "http://example.com/x.aspx",
    "http://example.com/?sid=0123456789abcdef0123456789abcdef",
    "http://example.com/a;jsessionid=1",
    "http://example.com/a?b=c=d&a&a=1",
    "http://xn--bcher-kva.example/",
    "http://1.2.3.com/",
    "http://www.com/",
    "http://example.com/a?cfid=1&cftoken=2",
    "http://[::1]/",
    "http://example.com./x",
    "https://www.www.org/",
    "http://example.com/a%2Fb?q=%26",
    "http://localhost/",
    "http://EXAMPLE.com/A/?B=%C3%BC&&a",
    "http://com/",
    "http://example.com/(S(0123456789abcdefghijklmn))/x.aspx",
    "http://example.com/a?a=1/../2",
    "http://e.co/..a",
]


@pytest.mark.parametrize("url", ODD)
def test_odd_urls(url: str) -> None:
    href = parse(url).href
    assert surt_of(href) == surt(href)


_PART = st.text("abAB019._~-%=+$,@!;:'()*", max_size=8)


@given(
    st.sampled_from(["http", "https"]),
    st.sampled_from(["a.example", "www.b.example", "www1.example", "c.d.example", "127.0.0.1"]),
    st.sampled_from(["", ":80", ":443", ":8080"]),
    st.lists(_PART, max_size=3),
    st.none() | st.lists(_PART, max_size=4),
)
@settings(max_examples=300, deadline=None)
def test_any_url(
    scheme: str, host: str, port: str, path: list[str], query: list[str] | None
) -> None:
    asked = "" if query is None else "?" + "&".join(query)
    href = parse(f"{scheme}://{host}{port}/{'/'.join(path)}{asked}").href
    assert surt_of(href) == surt(href)
