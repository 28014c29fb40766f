"""How keys are called whose bodies are stored compressed."""

import pytest

from scraper.model.records import Target
from scraper.source.stored_form import in_form, plain_key

KEPT = ""


@pytest.mark.parametrize(
    ("url", "key", "stored_as"),
    [
        ("http://h/a.html", "h/a.html", "h/a.html.gz"),
        ("http://h/a", "any", "any.gz"),
        ("http://h/a.html", "h/a.html.gz", "h/a.html.gz"),  # as `scraper failed` tells it
        ("http://h/a.tar.gz", "h/a.tar.gz", KEPT),
        ("http://h/photo.JPG?w=1", "h/photo--mark.JPG", KEPT),
        ("http://h/download?id=1", "films/one.mp4", KEPT),
        ("http://h/a.gz/", "h/a.gz/index.html", "h/a.gz/index.html.gz"),
        ("http://h/a", "h.jpg/a", "h.jpg/a.gz"),
    ],
)
def test_a_key_gets_an_ending_unless_its_name_says_that_it_is_compressed(
    url: str, key: str, stored_as: str
) -> None:
    target = Target(url, url, "h", key, 1, "list")
    found = in_form(target, "gzip")
    assert found == (target if not stored_as else target._replace(key=stored_as, compressed="gzip"))
    if stored_as:
        assert plain_key(found) == stored_as.removesuffix(".gz")
        assert in_form(found, "gzip") == found


def test_a_name_that_would_be_too_long_is_cut_and_marked() -> None:
    keys = [f"d/{'ä' * 126}{end}" for end in ("a", "b")]
    found = [in_form(Target("http://h/", "http://h/", "h", key, 1, ""), "zstd").key for key in keys]
    assert len(set(found)) == 2
    assert all(len(key.encode()) <= 2 + 255 and key.endswith(".zst") for key in found)


@pytest.mark.parametrize("size", [1017, 1018, 1020, 1021, 1024])
@pytest.mark.parametrize(
    "above",
    [
        "",
        "d/",
        f"{'/'.join('d' * 200 for _ in range(4))}/",
        f"{'/'.join('d' * 255 for _ in range(3))}/{'e' * 240}/",
        f"{'é' * 127}/" * 3,
        "d/" * 508,
    ],
)
def test_the_longest_keys_have_room_for_the_ending(above: str, size: int) -> None:
    left = size - len(above.encode())
    keys = [f"{above}{'n' * (left - 1)}{end}" for end in ("a", "b")]
    targets = [Target("http://h/", "http://h/", "h", key, 1, "") for key in keys]
    found = [in_form(target, "zstd") for target in targets]
    assert len({one.key for one in found}) == 2
    for one in found:
        assert one.key.endswith(".zst")
        assert len(one.key.encode()) <= 1024
        assert all(0 < len(name.encode()) <= 255 for name in one.key.split("/"))
        assert in_form(one, "zstd") == one
