"""Lists in which publishers tell digests, line by line."""

import base64
import hashlib
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from scraper.model.errors import BadTarget, ListError
from scraper.source.grammar import STORAGE_TRANSFER
from scraper.source.published import (
    of_checksum_file,
    of_storage_transfer,
    reader_of,
)

MD5 = hashlib.md5(b"a\n", usedforsecurity=False)


@pytest.mark.parametrize("name", ["md5", "sha1", "sha256", "sha512"])
@pytest.mark.parametrize("more", [[], ["--binary"], ["--tag"]])
def test_what_coreutils_writes_is_read(name: str, more: list[str], tmp_path: Path) -> None:
    names = ["a.txt", "a b #1?%41.txt", "back\\slash", "line\nbreak", "ü.txt"]
    for one in names:
        (tmp_path / one).write_bytes(b"a\n")
    done = subprocess.run(
        [f"{name}sum", *more, *names], cwd=tmp_path, stdout=subprocess.PIPE, text=True, check=True
    )
    wanted = hashlib.new(name, b"a\n").hexdigest()
    found = [of_checksum_file(line) for line in done.stdout.splitlines()]
    assert found == [
        {"url": "a.txt", name: wanted},
        {"url": "a%20b%20%231%3F%2541.txt", name: wanted},
        {"url": "back%5Cslash", name: wanted},
        {"url": "line%0Abreak", name: wanted},
        {"url": "%C3%BC.txt", name: wanted},
    ]


def test_a_line_of_the_storage_transfer_service() -> None:
    md5 = base64.b64encode(MD5.digest()).decode()
    read = of_storage_transfer
    assert read(f"http://h/a\t2\t{md5}") == {"url": "http://h/a", "size": "2", "md5": md5}
    assert read(f"http://h/a\t0\t{md5}") == {"url": "http://h/a", "size": None, "md5": md5}
    assert read("http://h/a") == {"url": "http://h/a", "size": "", "md5": ""}
    assert read(STORAGE_TRANSFER) is None


@pytest.mark.parametrize(
    ("read", "text", "said"),
    [
        (of_checksum_file, "http://h/a", "not of a checksum file"),
        (of_checksum_file, f"{MD5.hexdigest()} a", "not of a checksum file"),
        (of_checksum_file, f"{'0' * 56}  a", "56 digits"),
        (of_storage_transfer, "http://h/a\t1\tx\ty", "more than"),
    ],
)
def test_what_is_no_such_line_is_said(read: Callable[[str], object], text: str, said: str) -> None:
    with pytest.raises(BadTarget, match=said):
        read(text)


@pytest.mark.parametrize("read", [of_checksum_file, of_storage_transfer])
def test_blank_lines_say_nothing(read: Callable[[str], object]) -> None:
    assert read("") is None
    assert read("  ") is None


@pytest.mark.parametrize("name", ["B2SUMS", "d/b2sums.txt", "x.blake2b", "http://h/B2SUMS?x"])
def test_digests_of_blake2_are_not_taken_for_sha512(name: str) -> None:
    with pytest.raises(ListError, match="has digests of BLAKE2"):
        reader_of("sums", name)
    assert reader_of("sums", "b2/SHA512SUMS") is of_checksum_file
