"""The picture of certificates' lifetimes: what is a bar, where it begins, and what it stands for.

Alike ones become one bar as soon as there are too many for one each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from itertools import groupby

from recert.report import CaRecord, CertificateRecord, Report, Standing

MOST_BARS = 40
"""More certificates than this are drawn together."""

FARTHEST = timedelta(days=40 * 365)
"""From now: what lies beyond is not drawn, so that one certificate "for ever", which ends in 9999,
leaves room for all others."""

_YEAR_STEPS = (1, 2, 5, 10, 25, 50, 100)
_MOST_YEARS = 8
_SLACK = 5
"""Percent of the width that do not matter for where a name stands."""
_GRANULES = ("%Y-%m-%d", "%Y-%m", "%Y")


class Generation(Enum):
    """In the order in which they are drawn. LEFT: of the CA to retire and still there."""

    OLD = "old"
    LEFT = "left"
    NEW = "new"


@dataclass(frozen=True)
class Lifetime:
    """One certificate, wherever copies of it lie; `is_ca` ones come first."""

    label: str
    generation: Generation
    begins: datetime
    ends: datetime
    is_ca: bool


@dataclass(frozen=True)
class Bar:
    """One or more lifetimes, drawn as one. `left`, `width`: percent of the picture's width.

    `named_from`: where its name begins, or ends if `names_leftwards`, in percent: at that end of
    the bar from which there is more room.
    """

    label: str
    title: str
    generation: Generation
    left: float
    width: float

    @property
    def names_leftwards(self) -> bool:
        return self.left + self.width > 100 - self.left + _SLACK

    @property
    def named_from(self) -> float:
        return round(self.left + self.width, 3) if self.names_leftwards else self.left


@dataclass(frozen=True)
class Year:
    label: str
    left: float


@dataclass(frozen=True)
class Picture:
    """`now`: percent of the width, the moment at which the report was made. `number`: of
    certificates, in however many bars."""

    bars: tuple[Bar, ...]
    years: tuple[Year, ...]
    now: float
    number: int


def lifetimes(report: Report) -> list[Lifetime]:
    """Every certificate of a report once: those that were replaced, those left over, the others."""
    found: dict[str, Lifetime] = {}
    now = report.now.certificates if report.now is not None else ()
    before = report.before.certificates if report.before is not None else ()
    cas = [report.before.ca] if report.before is not None else []
    for ca in (report.retired_ca, *cas):
        if ca is not None and (report.ca is None or ca.fingerprint != report.ca):
            found[ca.fingerprint] = _of_ca(ca)
    for record in now:
        retired = record.standing in (Standing.RETIRED, Standing.FOREIGN)
        _add(found, record, Generation.LEFT if retired else Generation.NEW)
    for record in before:
        if record.fingerprint not in found:
            _add(found, record, Generation.OLD)
    order = list(Generation)
    return sorted(
        found.values(),
        key=lambda life: (order.index(life.generation), not life.is_ca, life.begins, life.label),
    )


def picture(found: Sequence[Lifetime], now: datetime) -> Picture | None:
    """The bars of these lifetimes on one time line; None if there are none."""
    if not found:
        return None
    found = [_within(life, now) for life in found]
    earliest = min(now, *(life.begins for life in found))
    latest = max(now, *(life.ends for life in found))
    # A little room on both sides, so that no bar ends where the picture does.
    margin = (latest - earliest) * 0.02 + timedelta(days=1)
    earliest, latest = earliest - margin, latest + margin
    span = latest - earliest

    def place(moment: datetime) -> float:
        return round((moment - earliest) / span * 100, 3)

    bars = []
    for group in _bundles(found):
        begins = min(life.begins for life in group)
        ends = max(life.ends for life in group)
        first = group[0]
        label = first.label if len(group) == 1 else f"{len(group):,} certificates"
        left = place(begins)
        bars.append(
            Bar(
                label=label,
                title=f"{label}, {_bound(begins, now)} to {_bound(ends, now)}",
                generation=first.generation,
                left=left,
                width=round(place(ends) - left, 3),
            )
        )
    return Picture(tuple(bars), tuple(_years(earliest, latest, place)), place(now), len(found))


def _within(life: Lifetime, now: datetime) -> Lifetime:
    """What of a lifetime is drawn."""
    least, most = now - FARTHEST, now + FARTHEST
    begins, ends = (min(max(end, least), most) for end in (life.begins, life.ends))
    return replace(life, begins=begins, ends=ends)


def _bound(moment: datetime, now: datetime) -> str:
    if abs(moment - now) < FARTHEST:
        return f"{moment:%Y-%m-%d}"
    return "the far past" if moment < now else "the far future"


def _add(found: dict[str, Lifetime], record: CertificateRecord, generation: Generation) -> None:
    if record.fingerprint is None or record.not_before is None or record.not_after is None:
        return
    label = record.subject or record.fingerprint
    found[record.fingerprint] = Lifetime(
        label, generation, record.not_before, record.not_after, record.is_ca
    )


def _of_ca(ca: CaRecord) -> Lifetime:
    return Lifetime(ca.subject, Generation.OLD, ca.not_before, ca.not_after, True)


def _bundles(found: Sequence[Lifetime]) -> list[list[Lifetime]]:
    """One group a bar: of the same generation, and alike as finely as there is room for."""
    if len(found) <= MOST_BARS:
        return [[life] for life in found]
    bundles: list[list[Lifetime]] = []
    for granule in _GRANULES:
        # A CA is never drawn with others: everything hangs on it.
        bundles = [
            list(alike)
            for _, alike in groupby(
                sorted(found, key=lambda life: _likeness(life, granule)),
                key=lambda life: _likeness(life, granule),
            )
        ]
        if len(bundles) <= MOST_BARS:
            break
    return bundles


def _likeness(life: Lifetime, granule: str) -> tuple[int, bool, str, str, str]:
    return (
        list(Generation).index(life.generation),
        not life.is_ca,
        life.begins.strftime(granule),
        life.ends.strftime(granule),
        life.label if life.is_ca else "",
    )


def _years(
    earliest: datetime, latest: datetime, place: Callable[[datetime], float]
) -> Iterator[Year]:
    number = latest.year - earliest.year + 1
    step = next((s for s in _YEAR_STEPS if number / s <= _MOST_YEARS), _YEAR_STEPS[-1])
    for year in range(earliest.year + 1, latest.year + 1):
        if year % step == 0:
            yield Year(str(year), place(datetime(year, 1, 1, tzinfo=UTC)))
