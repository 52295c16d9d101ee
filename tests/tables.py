"""Tables of different kinds, as people have them, in which there is something to learn."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
from pyarrow import parquet

ROWS = 400


def write_houses(folder):
    """Numbers, words and missing values; the target is a number. Returns the arguments of init."""
    draw = np.random.default_rng(0)
    area, rooms = draw.uniform(40, 200, ROWS), draw.integers(1, 7, ROWS)
    place = draw.choice(["north", "south", "harbour"], ROWS)
    price = 3 * area + 20 * rooms + 100 * (place == "harbour") + draw.normal(0, 10, ROWS)
    lines = ["house_id,area,rooms,district,price"]
    for row in range(ROWS):
        shown = "" if row % 20 == 0 else f"{area[row]:.1f}"
        word = "" if row % 33 == 0 else place[row]
        paid = "" if row % 50 == 7 else f"{price[row]:.0f}"
        lines.append(f"{row + 1},{shown},{rooms[row]},{word},{paid}")
    (folder / "houses.csv").write_text("\n".join([*lines, ""]))
    return ["houses.csv", "--target", "price"]


def write_flowers(folder):
    """Numbers with decimal commas between semicolons; the target is a word."""
    draw = np.random.default_rng(1)
    features = draw.normal(size=(ROWS, 3))
    labels = np.array(["iris", "rose", "no"])[features.argmax(1)]
    lines = ["length;width;height;kind"]
    for row, label in zip(features, labels, strict=True):
        lines.append(";".join([*(f"{value:.3f}".replace(".", ",") for value in row), label]))
    (folder / "flowers.csv").write_text("\n".join([*lines, ""]))
    return ["flowers.csv", "--target", "kind"]


def write_sales(folder):
    """A leading date by which the rows are sorted."""
    draw = np.random.default_rng(2)
    lines = ["day,promotion,sold"]
    for row in range(ROWS):
        day, promotion = date(2024, 1, 1) + timedelta(days=row), draw.random() < 0.3
        sold = 50 + 20 * promotion + 10 * (day.weekday() > 4) + draw.normal()
        lines.append(f"{day},{str(bool(promotion)).lower()},{sold:.2f}")
    (folder / "sales.csv").write_text("\n".join([*lines, ""]))
    return ["sales.csv", "--target", "sold"]


def write_patients(folder):
    """An identifier that several rows have in common; the target is 0 or 1."""
    draw = np.random.default_rng(3)
    patient, dose = draw.integers(0, 40, ROWS), draw.uniform(0, 5, ROWS)
    table = {
        "patient_id": [f"P{number}" for number in patient],
        "dose": dose,
        "seen": draw.integers(1_600_000_000, 1_700_000_000, ROWS),
        "responds": (dose + patient / 20 + draw.normal(0, 0.2, ROWS) > 3.5).astype(int),
    }
    parquet.write_table(pa.table(table), folder / "patients.parquet")
    return ["patients.parquet", "--target", "responds"]


def write_matrices(folder):
    """Features and target in two files."""
    features = np.random.default_rng(4).normal(size=(ROWS, 20)).astype(np.float32)
    np.save(folder / "X.npy", features)
    np.save(folder / "y.npy", features[:, 0] - 2 * features[:, 1] + 5)
    return ["X.npy", "y.npy"]


#: What writes a table into a folder, and returns the arguments of `memtrain init`, by its kind.
KINDS = {
    "numbers": write_houses,
    "words": write_flowers,
    "dates": write_sales,
    "groups": write_patients,
    "matrices": write_matrices,
}
