"""The program, in a directory of its own; the same as for `tests/e2e`."""

from tests.e2e.conftest import cli

__all__ = ["cli"]
