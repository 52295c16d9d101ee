"""Places in the cycles of the calendar, as Python's datetime has them."""

import math
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from memtrain.components.time_parts import names_of_part, share_of_cycle, values_of_part

SHARES = {
    "month": lambda moment: (moment.month - 1) / 12,
    "day_of_year": lambda moment: (moment.timetuple().tm_yday - 1) / 366,
    "weekday": lambda moment: moment.weekday() / 7,
    "hour": lambda moment: (60 * moment.hour + moment.minute) / 1440,
    "minute": lambda moment: (60 * moment.minute + moment.second) / 3600,
}


@pytest.mark.parametrize("part", SHARES)
@given(st.lists(st.datetimes(datetime(1, 1, 1), datetime(9999, 1, 1)), min_size=1))
def test_shares_of_cycles_are_those_of_the_calendar(part, moments):
    moments = [moment.replace(microsecond=0, tzinfo=UTC) for moment in moments]
    seconds = np.array(
        [(one - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() for one in moments]
    )

    assert share_of_cycle(seconds, part).tolist() == [SHARES[part](one) for one in moments]


def test_a_cycle_is_a_sine_and_a_cosine_and_a_missing_time_is_missing():
    hour = values_of_part(np.array([6 * 3600.0, np.nan]), "hour")

    assert hour[0] == pytest.approx([math.sin(math.pi / 2), math.cos(math.pi / 2)])
    assert np.isnan(hour[1]).all()
    assert names_of_part("when", "hour") == ["when hour sin", "when hour cos"]
    assert values_of_part(np.array([7.0]), "elapsed").tolist() == [[7.0]]
    assert names_of_part("when", "elapsed") == ["when"]
