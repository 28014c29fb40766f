"""Entity tags that a coding has changed."""

import pytest

from scraper.transfer.tags import with_bare


@pytest.mark.parametrize(
    ("etag", "sent"),
    [
        ('"x-gzip"', '"x-gzip", "x"'),
        ('"c36d-660b-br"', '"c36d-660b-br", "c36d-660b"'),
        ('W/"x-zstd"', 'W/"x-zstd", W/"x"'),
        ('"x--gzip"', '"x--gzip", "x"'),
        ('"x;gzip"', '"x;gzip", "x"'),
        ('"x"', '"x"'),
        ('"-gzip"', '"-gzip"'),
        ('"gzip"', '"gzip"'),
        ('"xgzip"', '"xgzip"'),
        ('"x-gzip-2"', '"x-gzip-2"'),
        ("x-gzip", "x-gzip"),
        ('"x-gzip", "y-gzip"', '"x-gzip", "y-gzip"'),
    ],
)
def test_the_bare_tag_is_sent_beside_the_one_of_the_coded_form(etag: str, sent: str) -> None:
    assert with_bare(etag) == sent
