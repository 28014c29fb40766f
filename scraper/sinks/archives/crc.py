"""CRC-32 of two texts that stand together, from the CRC of each.

A tar.gz ends with the CRC of all its members, which are compressed one by one, several at once.
The arithmetic is zlib's own `crc32_combine`, which Python does not pass on: to append n bytes is
to multiply by x^8n modulo the polynomial (zlib 1.3.1, crc32.c, `multmodp` and `x2nmodp`).

Owns: that arithmetic.
"""

_POLYNOMIAL = 0xEDB88320  # bits reversed, as gzip and zip have it
_ONE = 1 << 31  # x^0


def _product(a: int, b: int) -> int:
    """`a` times `b` modulo the polynomial. `a` is not 0."""
    found, bit = 0, _ONE
    while True:
        if a & bit:
            found ^= b
            if not a & (bit - 1):
                return found
        bit >>= 1
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1


def _squares() -> list[int]:
    """x^(2^n) for each n; they begin anew after 32."""
    found = [_ONE >> 1]
    while len(found) < 32:
        found.append(_product(found[-1], found[-1]))
    return found


_X_TO_2_TO = _squares()


def combined(first: int, second: int, second_bytes: int) -> int:
    """The CRC of a text with the CRC `first` and one of `second_bytes` bytes with `second`."""
    power, number, left = _ONE, 3, second_bytes
    while left:
        if left & 1:
            power = _product(_X_TO_2_TO[number & 31], power)
        left >>= 1
        number += 1
    return _product(power, first) ^ second
