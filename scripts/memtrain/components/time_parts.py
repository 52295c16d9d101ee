"""What a model sees of dates and times: seconds, and places in the cycles of the calendar."""

import numpy as np

from memtrain.config.encoding import TimePart

#: Places in a cycle, which repeat, are two features: sine and cosine. December is close to January.
_WAVES = ("sin", "cos")


def names_of_part(column: str, part: TimePart) -> list[str]:
    """Return the names of the features that a part of a time becomes."""
    return [column] if part == "elapsed" else [f"{column} {part} {wave}" for wave in _WAVES]


def values_of_part(seconds: np.ndarray, part: TimePart) -> np.ndarray:
    """Return the features of a part of some times, float64 (rows, features).

    Args:
        seconds: seconds since 1970, float64 (rows,); NaN for a missing time.
        part: elapsed: the seconds; others: places in a cycle, see ``share_of_cycle``.
    """
    if part == "elapsed":
        return seconds[:, np.newaxis]
    angles = 2 * np.pi * share_of_cycle(seconds, part)
    return np.stack([np.sin(angles), np.cos(angles)], axis=1)


def share_of_cycle(seconds: np.ndarray, part: TimePart) -> np.ndarray:
    """Return the place of times within a cycle, float64 (rows,) in [0, 1); NaN for a missing one.

    Args:
        seconds: seconds since 1970, float64 (rows,).
        part: month: the month of the year; day_of_year: the day, of 366; weekday: the day, from
            Monday on; hour: hour and minute of the day; minute: minute and second of the hour.
    """
    is_missing = ~np.isfinite(seconds)
    whole = np.where(is_missing, 0, np.floor(seconds)).astype("M8[s]")
    days, years = whole.astype("M8[D]"), whole.astype("M8[Y]")
    match part:
        case "month":
            share = (whole.astype("M8[M]") - years.astype("M8[M]")).astype(np.int64) / 12
        case "day_of_year":
            share = (days - years.astype("M8[D]")).astype(np.int64) / 366
        case "weekday":
            share = (days.astype(np.int64) + 3) % 7 / 7  # 1970 began on a Thursday.
        case "hour":
            share = whole.astype(np.int64) // 60 % 1440 / 1440
        case "minute":
            share = whole.astype(np.int64) % 3600 / 3600
        case _:
            raise ValueError(f"{part} is no cycle")
    return np.where(is_missing, np.nan, share)
