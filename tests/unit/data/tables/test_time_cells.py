"""Dates, times and durations are seconds, as Python's datetime has them."""

import re
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrain.data.tables.refused_value import RefusedValueError
from memtrain.data.tables.time_cells import parse_times, seconds_of_times

START = datetime(1970, 1, 1, tzinfo=UTC)
INSTANTS = st.datetimes(datetime(1700, 1, 1), datetime(2250, 1, 1))


def seconds_since(moment):
    return (moment.replace(tzinfo=UTC) - START).total_seconds()


@pytest.mark.slow
@given(st.lists(st.none() | INSTANTS, min_size=1), st.sampled_from(["us", "ns"]))
def test_timestamps_are_seconds_since_1970(moments, unit):
    found = seconds_of_times(pa.array(moments, pa.timestamp(unit))).to_pylist()

    expected = [None if moment is None else seconds_since(moment) for moment in moments]
    assert found == [None if one is None else pytest.approx(one, abs=1e-6) for one in expected]


@given(st.lists(st.dates(), min_size=1))
def test_dates_are_the_seconds_of_their_midnight(dates):
    expected = [(date - START.date()).total_seconds() for date in dates]

    assert seconds_of_times(pa.array(dates, pa.date32())).to_pylist() == expected
    assert seconds_of_times(pa.array(dates, pa.date64())).to_pylist() == expected


@given(st.lists(st.timedeltas(timedelta(days=-9999), timedelta(days=9999)), min_size=1))
def test_durations_are_their_seconds(durations):
    found = seconds_of_times(pa.array(durations, pa.duration("us"))).to_pylist()

    assert found == pytest.approx([one.total_seconds() for one in durations], abs=1e-6)


def test_times_of_day_are_seconds_since_midnight():
    assert seconds_of_times(pa.array([3600, None], pa.time32("s"))).to_pylist() == [3600.0, None]
    assert seconds_of_times(pa.array([1_500_000], pa.time64("us"))).to_pylist() == [1.5]


@pytest.mark.slow
@given(st.lists(INSTANTS, min_size=1))
def test_text_is_read_as_iso_8601_writes_it(moments):
    for spell in (datetime.isoformat, str):
        text = pa.array([f" {spell(moment)} " for moment in moments])
        assert parse_times(text, "timestamp").to_pylist() == moments
    days = pa.array([moment.date().isoformat() for moment in moments])
    assert parse_times(days, "date").to_pylist() == [moment.date() for moment in moments]


#: Spellings of a date in which the place or the name of the month tells it from the day.
SPELLINGS = ["%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%Y%m%d", "%d %b %Y", "%d-%B-%Y", "%B %d, %Y"]


@pytest.mark.slow
@given(
    st.lists(st.tuples(INSTANTS, st.sampled_from(SPELLINGS), st.booleans()), min_size=1),
    st.sampled_from(["", " %H:%M:%S.%f", "T%H:%M:%S"]),
)
def test_other_spellings_with_one_meaning_are_read(cells, clock):
    def spell(moment, date, is_short):
        text = moment.strftime(date)
        short = re.sub(r"(^|(?<=[./ ]))0", "", text)
        return (short if is_short and date != "%Y%m%d" else text) + moment.strftime(clock)

    def expected(moment, date, is_short):
        return datetime.strptime(moment.strftime(date + clock), date + clock)

    text = pa.array([spell(*cell) for cell in cells])
    assert parse_times(text, "timestamp").to_pylist() == [expected(*cell) for cell in cells]


def test_missing_text_is_missing():
    text = pa.array(["", "NA", "NaT", "null", None, "2024-02-29"])
    assert parse_times(text, "date").null_count == 5


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("31/01/2024", "date"),
        ("01-02-2024", "timestamp"),
        ("31.13.2024", "date"),
        ("30.2.2024", "date"),
        ("20230229", "date"),
        ("2023-02-29", "date"),
        ("2024-01-31T10:00:00", "date"),
        ("2024-01-31T10:30:00+02:00", "timestamp"),
        ("2024-01-31T10:30:00.1234567", "timestamp"),
        ("2024013", "timestamp"),
        ("yesterday", "timestamp"),
    ],
)
def test_other_text_is_refused_with_its_row(text, kind):
    with pytest.raises(RefusedValueError, match=f"is no {kind} as ISO 8601") as caught:
        parse_times(pa.array(["2024-01-01", None, text]), kind)
    assert caught.value.row == 2
    assert repr(text) in caught.value.reason
