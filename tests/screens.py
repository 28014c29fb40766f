r"""A terminal's screen, as far as the program draws on it: what a person would see of its bytes.

It knows `\r`, `\n` (a terminal adds the `\r`), cursor up, erasing a row, and colours, which it
forgets. Any other escape sequence is an error, so a test notices one that a server has sent.
"""

import re

_PIECE = re.compile(r"\x1b\[(\d*)([A-Za-z])|\x1b\[[\d;]*(m)|\r|\n|[^\x00-\x1f\x7f]+|(.)", re.DOTALL)


class Screen:
    """Rows of text that scroll. `columns` may be changed; the rows that stand stay as they are."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self._rows = [""]
        self._row = self._column = 0

    @property
    def rows(self) -> list[str]:
        """All rows, also those that have scrolled away, without blanks at their ends."""
        return [row.rstrip() for row in self._rows]

    @property
    def text(self) -> str:
        """The rows, a line each."""
        return "\n".join(self.rows)

    def feed(self, text: str) -> None:
        """Show `text`."""
        for found in _PIECE.finditer(text):
            number, letter, colour, unknown = found.groups()
            piece = found[0]
            assert unknown is None, f"{unknown!r} would drive a terminal, in {text!r}"
            if colour or letter == "m":
                continue
            if letter == "A":
                self._row = max(0, self._row - int(number or 1))
            elif letter == "K":
                self._rows[self._row] = ""
            elif letter:
                raise AssertionError(f"{piece!r} is not known here")
            elif piece == "\r":
                self._column = 0
            elif piece == "\n":
                self._down()
            else:
                self._write(piece)

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._rows):
            self._rows.append("")

    def _write(self, text: str) -> None:
        for character in text:
            if self._column == self.columns:
                self._column = 0
                self._down()
            row = self._rows[self._row].ljust(self._column)
            self._rows[self._row] = row[: self._column] + character + row[self._column + 1 :]
            self._column += 1
