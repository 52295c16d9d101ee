"""Writes numbers for people, rounded to the digits that their standard errors make meaningful."""

import math

#: Significant digits of a number that has no standard error.
_DIGITS_WITHOUT_ERROR = 4


def format_with_error(value: float | None, error: float | None = None) -> str:
    """Return a value with its standard error, like "0.0123 ± 0.0004".

    The error has one significant digit, or two if the first is a 1. The value has as many decimals
    as the error.

    Args:
        value: number to show; None becomes a hyphen.
        error: standard error of the value; with None or 0, the value stands alone, with
            four significant digits.
    """
    if value is None:
        return "-"
    power = _common_power(max(abs(value), error or 0.0))
    value /= 10.0**power
    if not error:
        return _with_power(f"{value:.{_decimals(abs(value), _DIGITS_WITHOUT_ERROR)}f}", power)
    error /= 10.0**power
    digits = 2 if error < 1.95 * 10.0 ** _exponent(error) else 1
    decimals = _decimals(error, digits)
    text = f"{value:.{decimals}f} ± {error:.{decimals}f}"
    return _with_power(f"({text})" if power else text, power)


def _decimals(number: float, digits: int) -> int:
    """Return the number of decimals that shows a number with ``digits`` significant digits."""
    return max(0, digits - 1 - _exponent(number))


def _exponent(number: float) -> int:
    return math.floor(math.log10(number)) if number else 0


def _common_power(largest: float) -> int:
    """Return the power of ten to factor out of numbers that would be very long; otherwise 0."""
    power = _exponent(largest)
    return 0 if -4 <= power < 6 else power


def _with_power(text: str, power: int) -> str:
    return f"{text}e{power:+03d}" if power else text
