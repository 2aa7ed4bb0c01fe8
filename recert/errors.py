"""The one kind of error that the pure part raises."""

from __future__ import annotations


class RecertError(ValueError):
    """Something about the input or the host forbids going on; the message says what to do."""
