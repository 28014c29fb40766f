"""Content codings are undone in bounded pieces, and an early end is noticed."""

import gzip
import random
import time
import zlib
from collections.abc import Callable, Iterable
from itertools import pairwise

import brotli
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from scraper.model.decode import ACCEPT_ENCODING, PIECE, Decoder, make_decoder
from scraper.model.errors import Kind, TransferError
from scraper.transfer.codings import codings

TEXT = b"".join(b"line %d of a page\n" % number for number in range(500))


def bare_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def compress_br(data: bytes) -> bytes:
    packed: bytes = brotli.compress(data, quality=5)
    return packed


CODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "zlib": ("deflate", zlib.compress),
    "bare deflate": ("deflate", bare_deflate),
    "br": ("br", compress_br),
    "zstd": ("zstd", zstd.compress),
}
every_coding = pytest.mark.parametrize(("coding", "encode"), CODERS.values(), ids=CODERS)


def found(content_encoding: str) -> Decoder | None:
    """What undoes it, of a body whose name says nothing."""
    which = codings(content_encoding, "text/html", ("page.html",))
    return make_decoder(which.undone, which.kept)


def decoder_of(coding: str) -> Decoder:
    decoder = found(coding)
    assert decoder is not None
    return decoder


def decoded(coding: str, chunks: Iterable[bytes]) -> bytes:
    decoder = decoder_of(coding)
    plain = b"".join(piece for chunk in chunks for piece in decoder.feed(chunk))
    decoder.finish()
    return plain


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def kind_of_failure(coding: str, chunks: Iterable[bytes]) -> Kind:
    with pytest.raises(TransferError) as caught:
        decoded(coding, chunks)
    return caught.value.kind


@every_coding
@pytest.mark.parametrize("size", [1, 7, 4096, 1 << 20])
def test_a_body_comes_out_as_it_went_in_however_it_is_cut(
    coding: str, encode: Callable[[bytes], bytes], size: int
) -> None:
    assert decoded(coding, cut(encode(TEXT), size)) == TEXT


@every_coding
@given(data=st.binary(max_size=3000), cuts=st.lists(st.integers(0, 3000), max_size=8))
def test_any_bytes_in_any_chunks_survive(
    coding: str, encode: Callable[[bytes], bytes], data: bytes, cuts: list[int]
) -> None:
    packed = encode(data)
    edges = [0, *sorted(min(place, len(packed)) for place in cuts), len(packed)]
    assert decoded(coding, [packed[a:b] for a, b in pairwise(edges)]) == data


@every_coding
def test_a_body_cut_off_anywhere_is_truncated(
    coding: str, encode: Callable[[bytes], bytes]
) -> None:
    packed = encode(b"a few words that are not worth compressing" * 3)
    kinds = {kind_of_failure(coding, [packed[:end]]) for end in range(1, len(packed))}
    assert kinds == {Kind.TRUNCATED}


@every_coding
def test_an_empty_body_is_empty_and_not_truncated(
    coding: str, encode: Callable[[bytes], bytes]
) -> None:
    assert decoded(coding, []) == b""
    assert decoded(coding, [b"", b""]) == b""
    assert decoded(coding, [encode(b"")]) == b""


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_garbage_is_a_protocol_error(coding: str) -> None:
    assert kind_of_failure(coding, [b"<html>this is no coded body</html>" * 9]) is Kind.PROTOCOL


@pytest.mark.parametrize("garbage", [b"\x78\x9c\xff\xff\xff\xff\xff\xff", b"\x07garbage!"])
def test_garbage_instead_of_deflate_is_a_protocol_error(garbage: bytes) -> None:
    assert kind_of_failure("deflate", [garbage]) is Kind.PROTOCOL


def test_a_damaged_checksum_is_a_protocol_error() -> None:
    packed = bytearray(gzip.compress(TEXT))
    packed[-5] ^= 0xFF
    assert kind_of_failure("gzip", [bytes(packed)]) is Kind.PROTOCOL


@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_all_members_of_a_gzip_body_are_read(size: int) -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")
    assert decoded("gzip", cut(packed, size)) == b"one two"


def test_a_later_gzip_member_cut_off_is_truncated() -> None:
    second = gzip.compress(b"two")
    packed = gzip.compress(b"one") + second[:-1]
    assert kind_of_failure("gzip", [packed]) is Kind.TRUNCATED
    assert kind_of_failure("gzip", cut(packed, 1)) is Kind.TRUNCATED


@pytest.mark.parametrize("noise", [b"\0" * 600, b"noise", b"\x1fnoise", b"\x1f", b"a\x1f\x8b\x08b"])
@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_noise_after_a_gzip_body_is_dropped_however_it_is_cut(noise: bytes, size: int) -> None:
    assert decoded("gzip", cut(gzip.compress(TEXT) + noise, size)) == TEXT


@pytest.mark.parametrize("encode", [zlib.compress, bare_deflate])
@pytest.mark.parametrize("size", [1, 1000])
def test_noise_after_a_deflate_body_is_dropped(encode: Callable[[bytes], bytes], size: int) -> None:
    assert decoded("deflate", cut(encode(TEXT) + b"noise", size)) == TEXT


@every_coding
def test_a_bomb_goes_off_in_pieces_of_bounded_size(
    coding: str, encode: Callable[[bytes], bytes]
) -> None:
    decoder = decoder_of(coding)
    size = 0
    for piece in decoder.feed(encode(bytes(40 * PIECE))):
        assert len(piece) <= PIECE
        size += len(piece)
    decoder.finish()
    assert size == 40 * PIECE


@pytest.mark.parametrize("after", [gzip.compress(b"!", mtime=0), b"\0" * 600, b"noise"])
def test_what_follows_a_gzip_member_longer_than_a_piece_is_read_once(after: bytes) -> None:
    """zlib calls it unconsumed, again and again, when output had been held back before."""
    for length in (PIECE, PIECE + 1, 3 * PIECE + 7):
        plain = decoded("gzip", [gzip.compress(bytes(length)) + after])
        assert plain == bytes(length) + (b"!" if after[0] == 0x1F else b"")


@every_coding
def test_a_body_whose_length_is_near_a_piece_loses_nothing(
    coding: str, encode: Callable[[bytes], bytes]
) -> None:
    for length in (*range(PIECE - 3, PIECE + 12), *range(PIECE + 250, PIECE + 263), 3 * PIECE + 7):
        decoder = decoder_of(coding)
        assert sum(map(len, decoder.feed(encode(bytes(length))))) == length
        decoder.finish()


def test_a_bomb_inside_a_bomb_stays_in_pieces() -> None:
    decoder = decoder_of("gzip, gzip")
    sizes = [len(piece) for piece in decoder.feed(gzip.compress(gzip.compress(bytes(64 * PIECE))))]
    decoder.finish()
    assert max(sizes) <= PIECE
    assert sum(sizes) == 64 * PIECE


def seconds_for(members: int) -> float:
    """The least CPU time that so many empty members of gzip have taken: others may be busy too."""
    packed, taken = gzip.compress(b"") * members, []
    for _ in range(3):
        begun = time.thread_time()
        decoded("gzip", [packed])
        taken.append(time.thread_time() - begun)
    return min(taken)


def test_many_members_in_one_chunk_cost_as_much_each_as_a_few() -> None:
    assert seconds_for(60_000) < 60 * 20 * seconds_for(1_000)  # with the square: 60 * 60


@pytest.mark.parametrize("coding", ["gzip", "gzip, br"])
def test_what_decodes_to_nothing_can_be_stopped_at_every_member(coding: str) -> None:
    packed = gzip.compress(b"") * 5_000
    steps = decoder_of(coding).feed(compress_br(packed) if "br" in coding else packed)
    assert sum(step == b"" for step in steps) >= 5_000


@pytest.mark.parametrize("name", ["compress", "x-compress", "dcb", "gzip, xz", "exi, gzip"])
def test_a_coding_that_was_not_asked_for_is_a_protocol_error(name: str) -> None:
    with pytest.raises(TransferError, match="was not asked for") as caught:
        found(name)
    assert caught.value.kind is Kind.PROTOCOL


@pytest.mark.parametrize(
    "name",
    [
        *("", "identity", "IDENTITY", " , identity ,", "aws-chunked", "utf-8", "UTF-8", "none"),
        *("binary", "null", "*", "8bit", "text/html", "Windows-1252", "aws-chunked, none"),
    ],
)
def test_without_a_coding_there_is_nothing_to_undo(name: str) -> None:
    assert found(name) is None


@pytest.mark.parametrize(
    "name", ["GZIP", "x-gzip", " gzip ", "identity, gzip", "aws-chunked,gzip", "gzip,utf-8"]
)
def test_names_of_codings_are_read_as_the_rfc_says(name: str) -> None:
    assert decoded(name, [gzip.compress(TEXT)]) == TEXT


@pytest.mark.parametrize("size", [1, 100, 1 << 20])
def test_chained_codings_are_undone_last_first(size: int) -> None:
    packed = compress_br(zlib.compress(gzip.compress(TEXT)))
    assert decoded("gzip, deflate, br", cut(packed, size)) == TEXT


def test_the_inner_body_of_a_chain_cut_off_is_truncated() -> None:
    assert kind_of_failure("gzip, br", [compress_br(gzip.compress(TEXT)[:-3])]) is Kind.TRUNCATED


def test_more_than_five_codings_are_refused() -> None:
    with pytest.raises(TransferError, match="6 content codings"):
        found("gzip, " * 5 + "gzip")
    assert found("gzip, " * 4 + "gzip") is not None
    assert found("utf-8, " * 6) is None


def test_everything_that_is_asked_for_can_be_undone() -> None:
    for name in ACCEPT_ENCODING.split(","):
        assert found(name) is not None


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_all_frames_of_a_zstd_body_are_read_and_skippable_ones_are_skipped(size: int) -> None:
    """RFC 8878 3.1."""
    skippable = b"\x5a\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"plain"
    packed = zstd.compress(b"one ") + skippable + zstd.compress(b"") + zstd.compress(b"two")
    assert decoded("zstd", cut(packed, size)) == b"one two"


def with_window(log: int) -> bytes:
    """A frame of 9 MB that needs a window of 2**log bytes, if it is not a single segment."""
    options: dict[int, int] = {
        zstd.CompressionParameter.window_log: log,
        zstd.CompressionParameter.content_size_flag: False,
    }
    packer = zstd.ZstdCompressor(options=options)
    return packer.compress(bytes(9_000_000)) + packer.flush()


def test_a_zstd_window_above_8_mb_is_refused() -> None:
    """RFC 9659 3."""
    assert decoded("zstd", [with_window(23)]) == bytes(9_000_000)
    assert kind_of_failure("zstd", [with_window(24)]) is Kind.PROTOCOL


@every_coding
def test_the_end_of_a_coding_is_known_at_its_last_byte(
    coding: str, encode: Callable[[bytes], bytes]
) -> None:
    decoder, packed = decoder_of(coding), encode(TEXT)
    for byte in packed[:-1]:
        list(decoder.feed(bytes([byte])))
        assert not decoder.ended
    list(decoder.feed(packed[-1:]))
    assert decoder.ended


@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "zstd", "xz", "compress"])
def test_a_coding_that_stays_is_proved_if_it_can_be_undone(coding: str) -> None:
    decoder = make_decoder((), coding)
    if coding in {"xz", "compress"}:
        assert decoder is None
        return
    assert decoder is not None
    packed = dict(CODERS.values())[coding](bytes(3 * PIECE))
    assert b"".join(decoder.feed(packed[:-1])) == packed[:-1]
    assert not decoder.ended
    with pytest.raises(TransferError) as caught:
        decoder.finish()
    assert caught.value.kind is Kind.TRUNCATED
    assert b"".join(decoder.feed(packed[-1:])) == packed[-1:]
    assert decoder.ended
    decoder.finish()


def test_random_bytes_longer_than_a_piece_survive() -> None:
    data = random.Random(1).randbytes(2 * PIECE + 13)
    for coding, encode in CODERS.values():
        assert decoded(coding, cut(encode(data), 65_536)) == data
