"""What the beginning of an image says of itself, in each format."""

import base64
import struct

import pytest

from monitor.access.images import image_of, read_image
from monitor.access.observation import Image


def _png(width: int, height: int) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, height) + bytes(9)


def _gif(width: int, height: int) -> bytes:
    return b"GIF89a" + struct.pack("<HH", width, height) + bytes(40)


def _webp(kind: bytes, head: bytes) -> bytes:
    return (
        b"RIFF" + struct.pack("<I", 60) + b"WEBP" + kind + struct.pack("<I", 40) + head + bytes(9)
    )


def _lossy(width: int, height: int) -> bytes:
    return _webp(b"VP8 ", b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", width, height))


def _lossless(width: int, height: int) -> bytes:
    return _webp(b"VP8L", b"\x2f" + struct.pack("<I", width - 1 | height - 1 << 14) + bytes(8))


def _extended(width: int, height: int) -> bytes:
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return _webp(b"VP8X", bytes(4) + sides)


def _avif(width: int, height: int) -> bytes:
    extent = b"\x00\x00\x00\x14ispe" + struct.pack(">III", 0, width, height)
    return b"\x00\x00\x00\x1cftypavif" + bytes(16) + b"\x00\x00\x01\x00meta" + extent


def _jpeg(width: int, height: int, before: bytes = b"") -> bytes:
    frame = b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, height, width, 1) + bytes(3)
    return b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(9) + before + frame


MADE = {
    "png": _png,
    "gif": _gif,
    "webp": _lossy,
    "webp lossless": _lossless,
    "webp extended": _extended,
    "avif": _avif,
    "jpeg": _jpeg,
}


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize(("width", "height"), [(1440, 480), (64, 64), (1, 1), (1024, 1536)])
def test_each_format_tells_its_size(kind: str, width: int, height: int) -> None:
    data = MADE[kind](width, height)
    assert read_image(data, cut=False) == Image(kind.split(maxsplit=1)[0], width, height)
    assert read_image(data + b"more" * 99, cut=True) == Image(
        kind.split(maxsplit=1)[0], width, height
    )


@pytest.mark.parametrize("kind", MADE)
def test_twelve_bytes_tell_the_format_of_what_was_cut_and_are_no_whole_image(kind: str) -> None:
    head = MADE[kind](1440, 480)[:12]
    found = read_image(head, cut=True)
    assert found is not None
    assert found.format == kind.split(maxsplit=1)[0]
    assert kind == "gif" or found.width is None
    whole = read_image(head, cut=False)
    assert whole is not None
    assert kind == "gif" or (whole.width, whole.height) == (0, 0)


@pytest.mark.parametrize("kind", MADE)
def test_no_cut_and_no_wrong_byte_raises(kind: str) -> None:
    data = MADE[kind](1440, 480)
    for at in range(len(data)):
        for cut in (True, False):
            read_image(data[:at], cut=cut)
            read_image(data[:at] + b"\xff" + data[at + 1 :], cut=cut)


def test_a_jpegs_size_behind_long_segments_is_found_or_left_open() -> None:
    profile = b"\xff\xe2\xff\xff" + bytes(65_533)
    whole = _jpeg(1024, 768, before=profile * 2)
    assert read_image(whole, cut=False) == Image("jpeg", 1024, 768)
    assert read_image(whole[:70_000], cut=True) == Image("jpeg")


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xe0\x00\x04ab" + b"no marker here" * 9,
        b"\xff\xd8\xff\xda\x00\x08" + bytes(99),
    ],
)
def test_a_jpeg_whose_segments_lead_nowhere_is_broken(data: bytes) -> None:
    assert read_image(data, cut=True) == Image("jpeg", 0, 0)


def test_a_png_without_its_first_chunk_is_broken() -> None:
    data = b"\x89PNG\r\n\x1a\n" + b"your organization must be verified"
    assert read_image(data, cut=True) == Image("png", 0, 0)


@pytest.mark.parametrize(
    "data",
    [b"", b"fake", b"hello world", b"<html><body>no</body></html>", b'{"error": {}}', b"RIFF"],
)
def test_anything_else_is_no_image(data: bytes) -> None:
    assert read_image(data, cut=True) is None
    assert image_of(base64.b64encode(data), cut=False) is None


def test_base64_is_read_with_line_ends_without_padding_and_in_the_alphabet_of_urls() -> None:
    data = b"\xff\xd8\xff\xfb\x00\x10" + bytes(14) + _jpeg(640, 480)[20:]
    plain = base64.b64encode(data)
    assert b"/" in plain or b"+" in plain
    for text in (
        plain,
        plain.rstrip(b"="),
        b"\r\n".join(plain[at : at + 60] for at in range(0, len(plain), 60)),
        base64.urlsafe_b64encode(data),
    ):
        assert image_of(text, cut=False) == Image("jpeg", 640, 480)


@pytest.mark.parametrize("text", [b"<error>", b"no image", "kein Bild: ü".encode(), b"iVBO\x00Rw0"])
def test_what_is_no_base64_is_no_image(text: bytes) -> None:
    assert image_of(text, cut=True) is None
