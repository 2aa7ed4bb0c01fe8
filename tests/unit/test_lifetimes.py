"""The bars of the picture of lifetimes."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta

from recert.lifetimes import MOST_BARS, Generation, lifetimes, picture
from tests.unit import reports


def test_each_certificate_is_there_once_by_its_generation() -> None:
    found = lifetimes(reports.site_report(5))
    assert Counter(life.generation for life in found) == {
        Generation.OLD: 5,  # four agents' and the CA's
        Generation.LEFT: 1,
        Generation.NEW: 4,
    }
    assert found[0].is_ca and found[0].generation is Generation.OLD


def test_copies_of_one_certificate_are_one_bar() -> None:
    report = reports.site_report(2)
    assert report.now is not None
    copy = replace(report.now.certificates[0], path="/elsewhere.pem")
    more = replace(report.now, certificates=(*report.now.certificates, copy))
    assert lifetimes(replace(report, now=more)) == lifetimes(report)


def test_bars_lie_where_their_dates_do() -> None:
    report = reports.site_report(2)
    drawn = picture(lifetimes(report), report.finished)
    assert drawn is not None and len(drawn.bars) == drawn.number == 4
    for bar in drawn.bars:
        assert 0 < bar.left < bar.left + bar.width < 100
    new = next(bar for bar in drawn.bars if bar.generation is Generation.NEW)
    assert abs(new.left - drawn.now) < 0.1, "it begins when the report was made"
    old = next(bar for bar in drawn.bars if bar.generation is Generation.OLD)
    assert old.left < drawn.now < old.left + old.width
    assert (old.names_leftwards, old.named_from) == (False, old.left)
    assert (new.names_leftwards, new.named_from) == (True, round(new.left + new.width, 3))
    assert [year.label for year in drawn.years] == sorted(year.label for year in drawn.years)
    assert 2 <= len(drawn.years) <= 8


def test_alike_ones_are_drawn_together_where_there_are_many() -> None:
    found = lifetimes(reports.site_report(5000))
    drawn = picture(found, reports.FINISHED)
    assert drawn is not None and drawn.number == 10_000
    assert len(drawn.bars) <= MOST_BARS
    numbers = [bar.label.removesuffix(" certificates") for bar in drawn.bars]
    counted = sum(int(n.replace(",", "")) if n.replace(",", "").isdigit() else 1 for n in numbers)
    assert counted == 10_000, "none is left out"
    assert drawn.bars[0].label == "Puppet CA: puppet.example.com", "a CA has a bar of its own"
    assert Counter(bar.generation for bar in drawn.bars)[Generation.LEFT] == 1


def test_names_stand_on_one_side_where_all_lifetimes_are_alike() -> None:
    found = [life for life in lifetimes(reports.site_report(9)) if life.generation.value == "new"]
    drawn = picture(found, found[0].begins)
    assert drawn is not None and len(drawn.bars) == 8
    assert not any(bar.names_leftwards for bar in drawn.bars)


def test_one_certificate_and_none() -> None:
    (life, *_) = lifetimes(reports.site_report(1))
    assert picture([], reports.FINISHED) is None
    drawn = picture([replace(life, ends=life.begins + timedelta(0))], reports.FINISHED)
    assert drawn is not None and drawn.bars[0].width == 0
