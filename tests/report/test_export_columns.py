"""The columns of an export: every field of a record has one."""

from scraper.report.export_columns import COLUMNS, cells
from tests.manifest.test_codec import TYPES


def test_every_field_of_a_record_has_a_column() -> None:
    assert TYPES.keys() - COLUMNS.keys() == {"error", "of_line"}  # of repeats, which it has not
    assert {"error_kind", "error_message"} <= COLUMNS.keys()


def test_a_value_of_another_type_is_left_out() -> None:
    record = {"url": 1, "line": "x", "size": 2**70, "urls": ["a"], "error": "no", "attempts": True}
    found = dict(zip(COLUMNS, cells(record), strict=True))
    assert {name: value for name, value in found.items() if value is not None} == {"urls": '["a"]'}
