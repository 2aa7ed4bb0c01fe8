"""What hosts send packed: gzip alone, and no more than there can be."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from io import BytesIO

from gevent import sleep  # type: ignore[import-untyped]

from facts.few import MOST_OF_A_CA

LARGEST = 256 * 1024 * 1024
"""Bytes, unpacked: certificates of a hundred thousand nodes."""

LARGEST_FILE = 1024 * 1024
"""Of one certificate or request."""

_TURN = 2000
"""Files that are read before others have a turn."""

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


def files_in(packed: bytes) -> Iterator[tuple[str, str]]:
    """The names and texts of the files in an archive of certificates, requests and public keys;
    what claims to be larger than any of those is passed over.

    :param packed: a tar archive, by gzip.
    :raises ValueError: it is none, cut short, larger than `LARGEST`, or has more files than a CA
        keeps.
    """
    try:
        with tarfile.open(fileobj=BytesIO(gunzip(packed)), mode="r:") as archive:
            for number, member in enumerate(archive, 1):
                if number > MOST_OF_A_CA:
                    raise ValueError(f"there are more than {MOST_OF_A_CA} files in it")
                if number % _TURN == 0:
                    sleep(0)  # the other hosts have a turn, too
                if member.issparse() or member.size > LARGEST_FILE:
                    continue
                has_content = member.isreg() or member.islnk()
                content = archive.extractfile(member) if has_content else None
                if content is not None:
                    yield member.name, content.read().decode("utf-8", "replace")
    except (tarfile.TarError, EOFError, OSError, KeyError) as error:
        raise ValueError(str(error)) from error
