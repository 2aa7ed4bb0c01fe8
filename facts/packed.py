"""What hosts send packed: gzip alone, and no more than there can be."""

from __future__ import annotations

import zlib

LARGEST = 256 * 1024 * 1024
"""Bytes, unpacked: certificates of a hundred thousand nodes."""

LARGEST_FILE = 1024 * 1024
"""Of one certificate or request."""

_GZIP = 16 + zlib.MAX_WBITS
_PIECE = 1024 * 1024


def gunzip(packed: bytes) -> bytes:
    """
    :raises ValueError: it is none, cut short, or larger than `LARGEST`.
    """
    pieces: list[bytes] = []
    size = 0
    while packed:
        unpacking = zlib.decompressobj(_GZIP)
        while not unpacking.eof:
            try:
                piece = unpacking.decompress(packed, _PIECE)
            except zlib.error as error:
                raise ValueError(str(error)) from error
            size += len(piece)
            if size > LARGEST:
                raise ValueError(f"it is larger than {LARGEST} bytes")
            pieces.append(piece)
            packed = unpacking.unconsumed_tail
            if not piece and not packed and not unpacking.eof:
                raise ValueError("it was cut short")
        packed = unpacking.unused_data
    return b"".join(pieces)
