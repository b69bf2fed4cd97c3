"""Undoes a body's content encoding piece by piece, within bounds."""

import zlib

_KNOWN = frozenset(("gzip", "x-gzip", "deflate"))
#: A server packs, and perhaps a proxy once more.
_MOST = 2


class Inflater:
    """Expands what comes, to at most so many bytes; what does not decode stays as it is."""

    def __init__(self, packing: str, most: int) -> None:
        #: bytes so far
        self.made = 0
        self._most = most
        self._perhaps_bare = packing == "deflate"
        # finds out which of gzip and zlib it is
        self._inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        self._as_it_is = False

    def __call__(self, piece: bytes) -> bytes:
        """Expand the next piece."""
        if not self._as_it_is:
            try:
                piece = self._expanded(piece)
            except zlib.error:
                self._as_it_is = True
        self.made += len(piece)
        return piece

    def _expanded(self, piece: bytes) -> bytes:
        bare, self._perhaps_bare = self._perhaps_bare and not piece.isascii(), False
        try:
            return self._inflate.decompress(piece, self._most - self.made)
        except zlib.error:
            if not bare:
                raise
        # some servers leave the header of zlib away
        self._inflate = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
        return self._inflate.decompress(piece, self._most - self.made)


def inflaters(encoding: str, most: int) -> list[Inflater]:
    """What undoes a content encoding, in this order, each to at most so many bytes; none if it is unknown."""
    packed = [name for one in encoding.split(",") if (name := one.strip().lower())]
    if len(packed) > _MOST or not _KNOWN.issuperset(packed):
        return []
    return [Inflater(name, most) for name in reversed(packed)]
