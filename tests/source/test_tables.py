"""Tables: rows of CSV and TSV, with a column of URLs."""

import gzip
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scraper.model.errors import ListError
from scraper.model.records import Result
from scraper.source.sources import open_sources
from scraper.source.tables import Table
from tests.lists import LIMIT, LINES, never, only, read_file, reason, seen, target


@given(LINES, st.sampled_from([b"\n", b"\r\n"]))
@example(lines=[b"\r,", b",\r", b",\r,", b"\r", b"#\r,"], end=b"\n")
def test_a_table_gives_an_item_for_each_row_in_order_and_never_an_error(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], end: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-list.csv"
    items = read_file(path, end.join([b"key,url", *lines, b'"', b"k,http://a/last"]))
    numbers = [number for number, _ in seen(items)]
    assert numbers == sorted(set(numbers))
    assert all(2 <= number <= len(lines) + 3 for number in numbers)
    if not any(b'"' in line for line in lines):
        said = [n for n, line in enumerate(lines, 2) if line.rstrip(b"\r").strip(b",")]
        assert [n for n in numbers if n < len(lines) + 2] == said
    assert seen(items)[-1] == (len(lines) + 3, "http://a/last")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", "url\nhttp://a/1\n"),
        ("l.csv", "url,key\r\nhttp://a/1,\r\n"),
        ("l.csv", "\ufeffURL , Key\n http://a/1 ,\n"),
        ("l.csv", 'id,"url"\n7,"http://a/1"\n'),
        ("l.CSV", "id,url,more\n7,http://a/1,x,y,z\n"),
        ("l.tsv", "id\turl\n7\thttp://a/1\n"),
        ("l.csv.gz", "url\nhttp://a/1\n"),
        ("l.tsv.gz", "url\tkey\nhttp://a/1\t\n"),
        ("l.csv", "# a comment\nurl\n\nhttp://a/1\n\n"),
        ("l.tsv", "#id\tURL\n#7\thttp://a/1\n"),
        ("l.tsv", '"id"\t"url"\n"7"\t"http://a/1"\n'),
    ],
)
def test_a_table_has_a_column_of_urls_wherever_it_stands(
    tmp_path: Path, name: str, content: str
) -> None:
    raw = content.encode()
    items = read_file(tmp_path / name, gzip.compress(raw) if name.endswith("gz") else raw)
    assert only(items).url == "http://a/1"
    assert only(items).key.startswith("a_http/1--")


def test_a_table_may_have_keys_and_urls_with_commas(tmp_path: Path) -> None:
    content = b'key,url\nk/1,"http://a/x,y?q=""z"""\nk/2,http://a/2\n'
    one, two = read_file(tmp_path / "l.csv", content)
    assert (target(one).url, target(one).key) == ("http://a/x,y?q=%22z%22", "k/1")
    assert (target(two).url, target(two).key, target(two).line) == ("http://a/2", "k/2", 3)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (b"example.com,", "no scheme"),
        (b",k", "no URL"),
        (b"http://a/\xff,", "not UTF-8"),
        (b"http://a/,k\xff", "not UTF-8"),
        (b"http://a/\0,", "NUL"),
        (b"http://a/,../x", "leaves the destination"),
        (b"http://a/" + b"x" * LIMIT, "longer than"),
        (b"http://a/" + b"x" * 10_000_000 + b",k", "longer than"),
        (b'"http://a/' + b"x" * LIMIT + b'",k', "longer than"),
    ],
)
def test_a_bad_row_is_a_bad_line_and_the_next_rows_are_read(
    tmp_path: Path, row: bytes, why: str
) -> None:
    content = b"url,key\nhttp://a/2,\n" + row + b"\nhttp://a/4,\n"
    first, bad, last = read_file(tmp_path / "l.csv", content)
    assert why in reason(bad)
    assert [line for line, _ in seen([first, bad, last])] == [2, 3, 4]


def test_a_quote_that_is_never_closed_does_not_glue_urls_together(tmp_path: Path) -> None:
    content = b'url\nhttp://a/2\n"http://a/3\nhttp://a/4\n'
    first, bad, last = read_file(tmp_path / "l.csv", content)
    assert (target(first).line, target(last).line) == (2, 4)
    assert "never closed" in reason(bad)
    assert seen([bad]) == [(3, '"http://a/3')]


def test_a_quote_that_is_never_closed_costs_a_bounded_part_of_a_long_table(
    tmp_path: Path,
) -> None:
    many = b"".join(b"http://a/%d\n" % number for number in range(100_000))
    items = read_file(tmp_path / "l.csv", b'url\n"http://a/\n' + many)
    assert "field larger" in reason(items[0])
    assert len(items) == 100_001
    assert seen(items)[-1] == (100_002, "http://a/99999")


@pytest.mark.parametrize("stray", [1, 6_000, 9_999])
def test_a_row_that_cannot_be_read_costs_its_first_line_alone(tmp_path: Path, stray: int) -> None:
    rows = [b"%d,http://a/%d,T\n" % (number, number) for number in range(10_000)]
    rows[stray] = b'"x,http://a/x,T\n'
    items = read_file(tmp_path / "l.csv", b"id,url,title\n" + b"".join(rows))
    assert [line for line, _ in seen(items)] == list(range(2, 10_002))
    assert [item.target.line for item in items if isinstance(item, Result)] == [stray + 2]


@pytest.mark.timeout(60)
def test_a_table_in_which_every_row_could_be_the_start_of_a_long_one_is_read_in_one_go() -> None:
    lines = 60_000  # each of them could begin a row that goes on to the end
    table = Table([b'a","\n'] * lines + [b"http://a/last,\n"], "csv")
    assert [row.number for row in table.rows()] == list(range(1, lines + 2))


def test_a_quote_in_a_tsv_is_a_character_like_any_other(tmp_path: Path) -> None:
    content = b'url\ttitle\nhttp://a/1\t"A\nhttp://a/2\tB\nhttp://a/3\tC"\n'
    items = read_file(tmp_path / "l.tsv", content)
    assert [target(item).url for item in items] == ["http://a/1", "http://a/2", "http://a/3"]


def test_a_cell_of_a_tsv_may_be_in_quotes_as_excel_writes_it(tmp_path: Path) -> None:
    content = b'url\tkey\n"http://a/x,""y"""\t"k,1"\n'
    found = only(read_file(tmp_path / "l.tsv", content))
    assert (found.url, found.key) == ("http://a/x,%22y%22", "k,1")


@pytest.mark.parametrize("name", ["l.csv", "l.tsv"])
def test_a_row_whose_first_cell_begins_with_a_hash_is_data(tmp_path: Path, name: str) -> None:
    rows = ["id,url", "#1,http://a/1", "2,http://a/2", "#3,http://a/3"]
    content = "\n".join(rows).replace(",", "," if name.endswith("csv") else "\t")
    assert [line for line, _ in seen(read_file(tmp_path / name, content.encode()))] == [2, 3, 4]
    (bad,) = read_file(tmp_path / "l.csv", b"url\n#http://a/\n")
    assert "no comment" in reason(bad)


def test_a_row_of_a_table_has_one_url(tmp_path: Path) -> None:
    (bad,) = read_file(tmp_path / "l.csv", b"url,key\nhttp://a/,https://b/\n")
    assert "is a URL" in reason(bad)


def test_a_field_of_two_lines_has_the_number_of_its_first(tmp_path: Path) -> None:
    content = b'note,url\n"a\nb",http://a/2\nc,http://a/4\n'
    assert [line for line, _ in seen(read_file(tmp_path / "l.csv", content))] == [2, 4]


@pytest.mark.parametrize(
    "content", [b"http://a/\n", b"link\nhttp://a/\n", b"url;key\n", b"x" * 70_000 + b"\n"]
)
def test_a_table_without_a_url_column_is_known_before_anything_starts(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "l.csv"
    path.write_bytes(content)
    with pytest.raises(ListError, match=r"l\.csv"):
        open_sources([str(path)], never)
