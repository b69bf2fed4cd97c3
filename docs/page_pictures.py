"""Takes pictures of the page from a running demo in Chromium; `pictures.py` calls it."""

import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
#: Seconds that the demo may run; its story takes 45.
LASTS = 90
#: The window, in CSS pixels; a picture is as high as its page.
WIDTH, HEIGHT = 1100, 700
#: Milliseconds to wait for what a picture shows.
PATIENCE = 60_000
#: Each picture with its page, and what it waits for: a text, and where it stands.
PAGES = (
    ("overview.png", "./", r"[2-9] of 8 targets are open; org-acme opens since", "h1"),
    ("target.png", "target?name=acme-prod%2Fgpt-image-2%3Aimages", "is available", "h1"),
)


def missing() -> str | None:
    """Why no picture can be taken; None if all is there."""
    if find_spec("playwright") is None:
        return "Playwright is not installed"
    return None if chromium() else "there is no Chromium"


def chromium() -> str | None:
    """The browser's path, by the names that it has."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def take() -> None:
    """Run the demo, and take the pictures while it lives."""
    command = Path(sys.executable).with_name("access-monitor")
    with subprocess.Popen(
        [str(command), "demo", "--seconds", str(LASTS)], stdout=subprocess.PIPE, text=True
    ) as demo:
        try:
            line = demo.stdout.readline() if demo.stdout else ""
            found = re.search(r"http://\S+", line)
            if found is None:
                raise SystemExit(f"the demo does not say where its page is: {line!r}")
            photograph(found[0])
        finally:
            demo.terminate()
            demo.communicate()


def photograph(address: str) -> None:
    """Open each page, wait for what its picture is to show, and keep what is seen."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - where it is missing, nothing else is

    flags = ["--disable-gpu", "--disable-background-networking"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags)
        try:
            window = {"width": WIDTH, "height": HEIGHT}
            page = browser.new_page(viewport=window, color_scheme="light", reduced_motion="reduce")
            for name, path, text, where in PAGES:
                page.goto(address + path)
                # the page renews itself
                page.locator(where, has_text=re.compile(text)).wait_for(timeout=PATIENCE)
                page.locator("#stream", has_text="Live").wait_for(timeout=PATIENCE)
                (HERE / name).write_bytes(smaller(page.screenshot(full_page=True)))
        finally:
            browser.close()


def smaller(png: bytes) -> bytes:
    """The same picture, packed better: the filters that browsers choose for speed do text no good."""
    chunks, place = [], 8
    while place < len(png):
        length, kind = struct.unpack_from(">I4s", png, place)
        chunks.append((kind, png[place + 8 : place + 8 + length]))
        place += 12 + length
    head = dict(chunks)[b"IHDR"]
    width, _, depth, colours = struct.unpack_from(">IIBB", head)
    if (depth, colours) not in ((8, 2), (8, 6)):
        return png
    step = 3 if colours == 2 else 4
    raw = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    rows = b"".join(b"\0" + row for row in unfiltered(raw, width * step, step))
    made = [(b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b"")]
    return png[:8] + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in made
    )


def unfiltered(raw: bytes, wide: int, step: int) -> list[bytes]:
    """The rows of a picture without PNG's filters (the specification's section 9)."""
    rows, above = [], bytes(wide)
    for start in range(0, len(raw), wide + 1):
        kind, row = raw[start], bytearray(raw[start + 1 : start + 1 + wide])
        for x in range(wide if kind else 0):
            left = row[x - step] if x >= step else 0
            corner = above[x - step] if x >= step else 0
            row[x] = (row[x] + predicted(kind, left, above[x], corner)) & 255
        above = bytes(row)
        rows.append(above)
    return rows


def predicted(kind: int, left: int, up: int, corner: int) -> int:
    """What a filter expects of a byte by its neighbours."""
    if kind == 4:
        nearest = left + up - corner
        return min((left, up, corner), key=lambda one: abs(nearest - one))
    return (0, left, up, (left + up) // 2)[kind]


if __name__ == "__main__":
    if why := missing():
        raise SystemExit(f"no pictures of the page: {why}")
    take()
