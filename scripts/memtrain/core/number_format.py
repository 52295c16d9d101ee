"""Numbers for people: rounded to what their standard errors leave of them."""

import math

#: Without a standard error, so many digits are shown.
_DIGITS = 4


def rounded(value: float | None, error: float | None = None) -> str:
    """Return "0.0123 ± 0.0004": the error to one digit, or two after a 1; the value alike.

    Args:
        value: None becomes a hyphen.
        error: its standard error; with None or 0 the value is shown alone, to four digits.
    """
    if value is None:
        return "-"
    power = _common_power(max(abs(value), error or 0.0))
    value /= 10.0**power
    if not error:
        return _with_power(f"{value:.{_decimals(abs(value), _DIGITS)}f}", power)
    error /= 10.0**power
    digits = 2 if error < 1.95 * 10.0 ** _exponent(error) else 1
    decimals = _decimals(error, digits)
    text = f"{value:.{decimals}f} ± {error:.{decimals}f}"
    return _with_power(f"({text})" if power else text, power)


def _decimals(number: float, digits: int) -> int:
    """Return the decimals that show so many digits of a number."""
    return max(0, digits - 1 - _exponent(number))


def _exponent(number: float) -> int:
    return math.floor(math.log10(number)) if number else 0


def _common_power(largest: float) -> int:
    """Return the power of ten to take out of numbers that are very long without; else 0."""
    power = _exponent(largest)
    return 0 if -4 <= power < 6 else power


def _with_power(text: str, power: int) -> str:
    return f"{text}e{power:+03d}" if power else text
