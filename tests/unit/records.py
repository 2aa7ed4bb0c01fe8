"""What a host would print in answer to a `record_script`."""

from __future__ import annotations

import base64
from collections.abc import Iterable


def printed(*records: Iterable[object]) -> list[str]:
    """The lines with these records."""
    fields: list[str] = []
    for record in (*records, ["end"]):
        own = [str(field) for field in record]
        fields += [str(len(own)), *own]
    text = "".join(f"{field}\0" for field in fields).encode("utf-8", "surrogateescape")
    return ["pe-recert:", base64.b64encode(text).decode("ascii"), "pe-recert."]
