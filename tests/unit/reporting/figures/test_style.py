"""What stands above a figure stays inside it."""

import numpy as np
import pytest
from matplotlib.image import imread

from memtrain.reporting.figures.style import Heading, figure


@pytest.mark.parametrize(
    "name", ["short", "wide_residual_network_of_station_number_7", "W" * 36, ""]
)
@pytest.mark.parametrize("width", [4.8, 6.4])
def test_a_long_heading_is_smaller_and_none_leaves_the_figure(tmp_path, name, width):
    heading = Heading(name, "1,000,000 rows evaluated").showing("calibration of probabilities")
    with figure(tmp_path / "drawn.png", width, 1.0, heading):
        pass
    drawn = imread(tmp_path / "drawn.png")[..., :3]
    inked = np.flatnonzero((drawn < 0.9).any(axis=(0, 2)))
    assert inked[0] > 5
    assert inked[-1] < drawn.shape[1] - 10
