"""Datasets of different kinds, as people have them, and one in which there is nothing to learn.

Each is drawn anew from a seed. What can be learned of it is written beside it.
"""

import gzip
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import parquet

#: Rows of every dataset, where nothing else is said, times the size that is asked for.
_ROWS = 4_000


@dataclass(frozen=True)
class Dataset:
    """A dataset of a kind.

    Attributes:
        kind: what it is like, in a few words.
        write: writes its files into a folder, with about so many rows, and returns the arguments
            of `memtrain init`.
        is_noise: whether there is nothing to learn.
    """

    kind: str
    write: Callable[[Path, int], list[str]]
    is_noise: bool = False


def write_houses(folder: Path, rows: int) -> list[str]:
    """Write prices that follow from area, rooms and district, with a product of two of them."""
    draw = np.random.default_rng(1)
    area, rooms = draw.uniform(40, 200, rows), draw.integers(1, 7, rows)
    place = draw.choice(["north", "south", "harbour", "hill"], rows)
    per_metre = 3 + 2.0 * (place == "harbour") + 0.8 * (place == "hill")
    price = per_metre * area + 20 * rooms + draw.normal(0, 20, rows)
    columns = {"area": area.round(1), "rooms": rooms, "district": place, "price": price.round()}
    return [_write_csv(folder / "houses.csv", columns), "--target", "price"]


def write_frauds(folder: Path, rows: int) -> list[str]:
    """Write payments of which 5% are frauds, by amount, hour and country."""
    draw = np.random.default_rng(2)
    amount, hour = draw.lognormal(3, 1, rows), draw.integers(0, 24, rows)
    country = draw.choice(["DE", "FR", "US", "BR"], rows, p=[0.5, 0.3, 0.15, 0.05])
    score = (
        1.2 * np.log(amount)
        + 1.5 * (hour < 5)
        + 1.5 * (country == "BR")
        + draw.normal(0, 0.4, rows)
    )
    fraud = np.where(score > np.quantile(score, 0.95), "yes", "no")
    columns = {"payment_id": np.arange(rows) + 10_000, "amount": amount.round(2), "hour": hour}
    columns |= {"country": country, "fraud": fraud}
    return [_write_csv(folder / "payments.csv.gz", columns), "--target", "fraud"]


def write_letters(folder: Path, rows: int) -> list[str]:
    """Write measures of 26 letters: clouds of points in 16 dimensions."""
    draw = np.random.default_rng(3)
    names = np.array([chr(ord("A") + number) for number in range(26)])
    letter = draw.integers(0, 26, rows)
    values = draw.normal(0, 1, (26, 16))[letter] * 2 + draw.normal(0, 1.2, (rows, 16))
    columns = {f"measure_{place}": values[:, place].round(3) for place in range(16)}
    return [
        _write_csv(folder / "letters.tsv", columns | {"letter": names[letter]}),
        "--target",
        "letter",
    ]


def write_sensors(folder: Path, rows: int) -> list[str]:
    """Write sensors of which a fifth is missing, more often where the target is large."""
    draw = np.random.default_rng(4)
    values = draw.normal(size=(rows, 6))
    power = values[:, 0] * 3 + np.abs(values[:, 1]) * 2 - values[:, 2] + draw.normal(0, 0.5, rows)
    is_gone = draw.random((rows, 6)) < np.where(power > 3, 0.35, 0.15)[:, None]
    table: dict[str, Any] = {
        f"sensor_{place}": pa.array(values[:, place], mask=is_gone[:, place]) for place in range(6)
    }
    state = draw.choice(["idle", "load", "off"], rows)
    table["state"] = pa.array(state, mask=draw.random(rows) < 0.1)
    table["power"] = pa.array(power + 2 * (state == "load"), mask=draw.random(rows) < 0.02)
    parquet.write_table(pa.table(table), folder / "sensors.parquet")
    return ["sensors.parquet", "--target", "power"]


def write_demand(folder: Path, rows: int) -> list[str]:
    """Write an hourly demand with the course of a day and of a week, in the order of time."""
    draw = np.random.default_rng(5)
    start = datetime(2023, 1, 1)
    times = [start + timedelta(hours=hour) for hour in range(rows)]
    warm = 10 + 8 * np.sin(np.arange(rows) / 8760 * 2 * np.pi) + draw.normal(0, 3, rows)
    course = [30 * (8 <= at.hour < 20) - 25 * (at.weekday() > 4) for at in times]
    demand = 100 + np.array(course) - 1.5 * warm + draw.normal(0, 6, rows)
    columns = {
        "time": [at.isoformat(sep=" ") for at in times],
        "temperature": warm.round(1),
        "demand": demand.round(1),
    }
    return [_write_csv(folder / "demand.csv", columns), "--target", "demand"]


def write_patients(folder: Path, rows: int) -> list[str]:
    """Write visits of patients, many of each, who respond by dose, age and their nature."""
    draw = np.random.default_rng(6)
    patient = np.sort(draw.integers(0, rows // 12, rows))
    age = draw.integers(18, 90, rows // 12 + 1)[patient]
    nature = draw.normal(0, 0.5, rows // 12 + 1)[patient]
    dose = draw.uniform(0, 5, rows)
    responds = dose - age / 30 + nature + draw.normal(0, 0.5, rows) > 0.7
    table = {"patient_id": [f"P{number:05}" for number in patient], "age": age, "dose": dose}
    table |= {"visit": draw.integers(1, 9, rows), "responds": responds}
    parquet.write_table(pa.table(table), folder / "visits.parquet")
    return ["visits.parquet", "--target", "responds"]


def write_cities(folder: Path, rows: int) -> list[str]:
    """Write rents by one of 300 cities, half of all rows in a tenth of them."""
    draw = np.random.default_rng(7)
    weights = 1 / np.arange(1, 301)
    city = draw.choice(300, rows, p=weights / weights.sum())
    level, size = draw.normal(10, 3, 300), draw.uniform(20, 120, rows)
    rent = level[city] * size + draw.normal(0, 40, rows)
    columns = {"city": [f"City {number}" for number in city], "size": size.round(1)}
    return [_write_csv(folder / "rents.csv", columns | {"rent": rent.round(2)}), "--target", "rent"]


def write_trips(folder: Path, rows: int) -> list[str]:
    """Write a folder of Parquet files: trips whose duration follows from distance and hour."""
    draw = np.random.default_rng(8)
    (folder / "trips").mkdir()
    distance = draw.lognormal(1, 0.7, rows)
    seconds = draw.integers(0, 86400 * 90, rows)
    rush = np.isin(seconds // 3600 % 24, (7, 8, 17, 18))
    minutes = distance * np.where(rush, 4.0, 2.2) + draw.normal(3, 1, rows)
    start = np.datetime64("2024-01-01T00:00:00", "us") + seconds * np.timedelta64(1_000_000, "us")
    table = {"distance": distance, "start": start, "driver": draw.integers(10**12, 10**13, rows)}
    table |= {"vendor": draw.choice(["a", "b"], rows), "minutes": minutes}
    whole = pa.table(table)
    for part in range(4):
        rows_of_part = whole.slice(part * (rows // 4), rows // 4)
        parquet.write_table(rows_of_part, folder / f"trips/part-{part}.parquet")
    return ["trips", "--target", "minutes"]


def write_genes(folder: Path, rows: int) -> list[str]:
    """Write 500 numbers a row, of which 8 matter, as two matrices."""
    draw = np.random.default_rng(9)
    values = draw.normal(size=(rows, 500)).astype(np.float32)
    np.save(folder / "X.npy", values)
    np.save(folder / "y.npy", values[:, :8] @ np.array([3, -3, 2, -2, 2, 1, 1, -1]) + 20)
    return ["X.npy", "y.npy"]


def write_digits(folder: Path, rows: int) -> list[str]:
    """Write images of digits, shifted and noisy, and their labels, read where they lie."""
    draw = np.random.default_rng(10)
    digit = draw.integers(0, 10, rows)
    images = draw.integers(0, 60, (rows, 12, 12))
    for row, (x, y) in enumerate(draw.integers(0, 4, (rows, 2))):
        images[row, y : y + 7, x : x + 5] += 150 * _GLYPHS[digit[row]]
    np.save(folder / "images.npy", images.astype(np.uint8))
    np.save(folder / "labels.npy", digit.astype(np.uint8))
    return ["images.npy", "labels.npy", "--target", "labels"]


def write_sorted(folder: Path, rows: int) -> list[str]:
    """Write matrices in eight files, sorted by the class in their last column, read in place."""
    draw = np.random.default_rng(11)
    kind = np.sort(draw.integers(0, 4, rows))
    values = draw.normal(0, 1, (4, 10))[kind] + draw.normal(size=(rows, 10))
    (folder / "runs").mkdir()
    for part, of_part in enumerate(np.array_split(np.arange(rows), 8)):
        np.save(folder / f"runs/x_{part}.npy", values[of_part].astype(np.float32))
        np.save(folder / f"runs/kind_{part}.npy", kind[of_part])
    return ["runs", "--in-place", "--target", "kind"]


def write_reviews(folder: Path, rows: int) -> list[str]:
    """Write reviews with free text and addresses that are to be left out, and decimal commas."""
    draw = np.random.default_rng(12)
    stars, length = draw.integers(1, 6, rows), draw.integers(5, 400, rows)
    price = draw.uniform(5, 200, rows)
    helpful = 2.0 * stars + np.sqrt(length) + 0.01 * price + draw.normal(0, 1.5, rows)
    columns = {
        "review_id": [f"R{number:06}" for number in draw.permutation(rows)],
        "text": [f"Bought it {number} days ago, and all of it is fine" for number in range(rows)],
        "url": [f"https://example.org/{number}" for number in draw.permutation(rows)],
        "stars": stars,
        "words": length,
        "price": [f"{value:.2f}".replace(".", ",") for value in price],
        "helpful": [f"{value:.3f}".replace(".", ",") for value in helpful],
    }
    return [_write_csv(folder / "reviews.csv", columns, ";"), "--target", "helpful"]


def write_plants(folder: Path, rows: int) -> list[str]:
    """Write measures of three kinds of plants, with the kind behind them and without a header."""
    draw = np.random.default_rng(14)
    kind = draw.integers(0, 3, rows)
    values = draw.normal(0, 1, (3, 4))[kind] + draw.normal(0, 1.2, (rows, 4)) + 5
    names = np.array(["setosa", "virginica", "versicolor"])[kind]
    lines = [
        ",".join([*(f"{value:.1f}" for value in measures), name])
        for measures, name in zip(values, names, strict=True)
    ]
    (folder / "plants.csv").write_text("\n".join([*lines, ""]))
    return ["plants.csv"]


def write_tokens(folder: Path, rows: int) -> list[str]:
    """Write 40 tokens a row as one raw stream: behind each of 300 tokens stands one of four."""
    draw = np.random.default_rng(15)
    behind, choices = draw.integers(0, 300, (300, 4)), draw.integers(0, 4, 40 * rows)
    tokens = np.zeros(40 * rows, np.uint16)
    for place in range(1, len(tokens)):
        tokens[place] = behind[tokens[place - 1], choices[place]]
    tokens.tofile(folder / "tokens.bin")
    return ["tokens.bin", "--dtype", "uint16"]


def write_noise(folder: Path, rows: int) -> list[str]:
    """Write features that say nothing of the target."""
    draw = np.random.default_rng(13)
    columns = {f"x{place}": draw.normal(size=rows).round(4) for place in range(8)}
    columns["word"] = draw.choice(["a", "b", "c"], rows)
    return [
        _write_csv(folder / "noise.csv", columns | {"y": draw.normal(size=rows).round(4)}),
        "--target",
        "y",
    ]


def _write_csv(path: Path, columns: dict[str, Sequence[Any]], delimiter: str = "") -> str:
    """Write a text file, and return its name."""
    delimiter = delimiter or ("\t" if path.name.endswith(".tsv") else ",")
    rows: Iterable[Sequence[Any]] = zip(*columns.values(), strict=True)
    lines = [delimiter.join(columns), *(delimiter.join(map(str, row)) for row in rows)]
    text = "\n".join([*lines, ""]).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path.name


def _glyphs() -> np.ndarray:
    """Return the digits as 0 and 1: (10, 7, 5)."""
    rows = """
    01110 00100 01110 01110 00010 11111 01110 11111 01110 01110
    10001 01100 10001 10001 00110 10000 10000 00001 10001 10001
    10001 00100 00001 00001 01010 11110 10000 00010 10001 10001
    10001 00100 00010 00110 10010 00001 11110 00100 01110 01111
    10001 00100 00100 00001 11111 00001 10001 00100 10001 00001
    10001 00100 01000 10001 00010 10001 10001 01000 10001 00001
    01110 01110 11111 01110 00010 01110 01110 01000 01110 01110
    """
    lines = [line.split() for line in rows.split("\n") if line.strip()]
    pixels = [[[int(pixel) for pixel in word] for word in line] for line in lines]
    return np.array(pixels).transpose(1, 0, 2)


_GLYPHS = _glyphs()

#: All datasets, by name, in the order of the table.
DATASETS = {
    "houses": Dataset("numbers and words; CSV", write_houses),
    "frauds": Dataset("two classes, 5% of one; packed CSV", write_frauds),
    "letters": Dataset("26 classes; tabs", write_letters),
    "sensors": Dataset("a fifth of the values missing; Parquet", write_sensors),
    "demand": Dataset("hourly, in the order of time; CSV", write_demand),
    "patients": Dataset("true or false, an id that repeats; Parquet", write_patients),
    "cities": Dataset("a word of 300 values; CSV", write_cities),
    "trips": Dataset("a folder of Parquet with times", write_trips),
    "genes": Dataset("500 numbers a row; X.npy, y.npy", write_genes),
    "digits": Dataset("images of digits, where they lie", write_digits),
    "sorted": Dataset("sorted by class, 16 files where they lie", write_sorted),
    "reviews": Dataset("texts, addresses; decimal commas", write_reviews),
    "plants": Dataset("no header, three classes; CSV", write_plants),
    "tokens": Dataset("a stream of 160,000 tokens, where it lies", write_tokens),
    "noise": Dataset("nothing to learn", write_noise, is_noise=True),
}


def rows_of(size: float) -> int:
    """Return the rows of a dataset of a size: 1 for the usual one."""
    return max(400, round(_ROWS * size))
