"""Values of bfloat16 as numbers of NumPy's own."""

import numpy as np

from memtrain.data.formats.dtypes import BFLOAT16


def as_numpy_numbers(values: np.ndarray) -> np.ndarray:
    """Return values in a dtype of NumPy's own: bfloat16 as float32, which is exact."""
    return values.astype(np.float32) if values.dtype == BFLOAT16 else values
