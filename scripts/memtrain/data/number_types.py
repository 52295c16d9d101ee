"""Types of numbers that NumPy has, and bfloat16, which it has not."""

import ml_dtypes
import numpy as np

#: The upper half of a float32: https://cloud.google.com/tpu/docs/bfloat16
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def as_numpy_numbers(values: np.ndarray) -> np.ndarray:
    """Return values in a dtype of NumPy's own: bfloat16 as float32, which is exact."""
    return values.astype(np.float32) if values.dtype == BFLOAT16 else values
