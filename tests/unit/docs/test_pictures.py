"""The pictures of the pages are there, and small; packing them keeps each pixel."""

import struct
import zlib

import page_pictures
import pytest
from pages import ROOT

WIDE, STEP = 15, 3


def chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png_of(raw: bytes) -> bytes:
    """A picture of five rows and five pixels, in two chunks of data."""
    head = struct.pack(">IIBBBBB", WIDE // STEP, 5, 8, 2, 0, 0, 0)
    data = zlib.compress(raw)
    parts = chunk(b"IDAT", data[:10]), chunk(b"IDAT", data[10:])
    return b"".join((b"\x89PNG\r\n\x1a\n", chunk(b"IHDR", head), *parts, chunk(b"IEND", b"")))


def filtered(rows: list[bytes]) -> bytes:
    """Each row behind another filter, as the specification words them."""
    raw, above = b"", bytes(WIDE)
    for kind, row in enumerate(rows):
        raw += bytes([kind])
        for x, value in enumerate(row):
            left, corner = (row[x - STEP], above[x - STEP]) if x >= STEP else (0, 0)
            up = above[x]
            paeth = left + up - corner
            distances = abs(paeth - left), abs(paeth - up), abs(paeth - corner)
            nearest = (left, up, corner)[distances.index(min(distances))]
            expected = (0, left, up, (left + up) // 2, nearest)[kind]
            raw += bytes([(value - expected) % 256])
        above = row
    return raw


def test_packing_undoes_each_filter_and_changes_no_pixel() -> None:
    rows = [bytes((17 * y * y + 31 * x * (y + 1)) % 256 for x in range(WIDE)) for y in range(5)]
    packed = page_pictures.smaller(png_of(filtered(rows)))
    assert packed == page_pictures.smaller(packed)
    length = struct.unpack_from(">I", packed, 33)[0]
    assert packed[37:41] == b"IDAT"
    assert zlib.decompress(packed[41 : 41 + length]) == b"".join(b"\0" + row for row in rows)


@pytest.mark.parametrize("name", [name for name, *_ in page_pictures.PAGES])
def test_the_pictures_of_the_page_are_as_wide_as_the_window_and_small(name: str) -> None:
    png = (ROOT / "docs" / name).read_bytes()
    assert struct.unpack_from(">I", png, 16) == (page_pictures.WIDTH,)
    assert len(png) < 200_000


def test_without_a_browser_it_says_why_no_picture_is_taken(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert page_pictures.missing() == "there is no Chromium"
