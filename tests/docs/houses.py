"""Writes the tables that README's configuration reads: python houses.py FOLDER."""

import csv
import random
import sys
from pathlib import Path

ROWS_PER_FILE = 2500
DISTRICTS = {"north": 0.0, "south": 40.0, "harbour": 90.0}


def write_houses(folder: Path) -> None:
    """Write two tables of houses, some of whose prices are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = random.Random(1)
    for name in ("1.csv", "2.csv"):
        with open(folder / name, "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["area", "rooms", "district", "price"])
            for _ in range(ROWS_PER_FILE):
                table.writerow(house(chance))


def house(chance: random.Random) -> list[object]:
    """Return area, rooms, district and price of a house."""
    area, rooms = chance.uniform(40, 200), chance.randint(1, 6)
    district = chance.choice(list(DISTRICTS))
    price = 2 * area + 10 * rooms + DISTRICTS[district] + chance.gauss(0, 20)
    return [round(area, 1), rooms, district, "" if chance.random() < 0.01 else round(price)]


if __name__ == "__main__":
    write_houses(Path(sys.argv[1]) / "data")
