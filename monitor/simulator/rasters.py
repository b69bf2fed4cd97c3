"""Real pictures of any size, made from bytes: plain grey, so a large one stays small."""

import struct
import zlib
from functools import lru_cache

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


@lru_cache(maxsize=64)
def png(width: int, height: int) -> bytes:
    """A grey picture, 8 bits a pixel, without interlace (PNG specification, sections 5 and 11)."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\0" + b"\x80" * width) * height, 1)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


@lru_cache(maxsize=64)
def jpeg(width: int, height: int) -> bytes:
    """A grey picture of one component (ISO/IEC 10918-1, annexes B and F).

    Each block is two bits: no difference to the one before, and its end; both codes are a single zero.
    """
    frame = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    table = b"\x01" + bytes(15) + b"\x00"
    blocks = -(-width // 8) * -(-height // 8)
    whole, rest = divmod(blocks * 2, 8)
    scan = bytes(whole) + (bytes([0xFF >> rest]) if rest else b"")
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xE0, b"JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"),
            _segment(0xDB, b"\x00" + b"\x01" * 64),
            _segment(0xC0, frame),
            _segment(0xC4, b"\x00" + table),
            _segment(0xC4, b"\x10" + table),
            _segment(0xDA, b"\x01\x01\x00\x00\x3f\x00"),
            scan,
            b"\xff\xd9",
        )
    )


@lru_cache(maxsize=64)
def webp(width: int, height: int) -> bytes:
    """A grey lossless picture (RFC 9649, section 3): each of its codes has one symbol and takes no bits."""
    fields = [(width - 1, 14), (height - 1, 14), (0, 4), (0, 3)]
    for value in (0x80, 0x80, 0x80, 0xFF):
        fields += [(0b101, 3), (value, 8)]
    fields += [(0b001, 3), (0, 1)]
    bits = place = 0
    for value, count in fields:
        bits |= value << place
        place += count
    data = b"\x2f" + bits.to_bytes(-(-place // 8), "little")
    padded = data + bytes(len(data) % 2)
    chunk = b"VP8L" + struct.pack("<I", len(data)) + padded
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def png_size(content: bytes) -> tuple[int, int] | None:
    """Width and height that a PNG's header states, or None when it is none."""
    if len(content) < 24 or not content.startswith(_SIGNATURE) or content[12:16] != b"IHDR":
        return None
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum
