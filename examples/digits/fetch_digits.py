"""Put the digits data set next to this script: data/digits.npz.

scikit-learn contains 1,797 images of handwritten digits, 8 x 8 pixels each. This script compares a
digest of images and labels with the known one, and writes them as uint8 and int64.
"""

import argparse
import hashlib
import os
import sys
from pathlib import Path

import numpy as np

SHA256 = "65e5b4619795efb40c1082f4c350c049e4ad552200d369b6ae99e21eef5e72c5"


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(__file__).parent / "data" / "digits.npz",
        help="the file to write (default: data/digits.npz beside this script)",
    )
    return parser.parse_args(argv)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Return images, uint8 (rows, 64), and labels, int64 (rows,)."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        sys.exit(
            f"scikit-learn cannot be imported ({error}): pip install -r "
            "envs/requirements-digits.txt"
        )
    images, labels = load_digits(return_X_y=True)
    images = images.astype(np.uint8)
    labels = labels.astype(np.int64)
    found = hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest()
    if found != SHA256:
        sys.exit(f"the digits of this scikit-learn have the sha256 {found}; expected {SHA256}")
    return images, labels


def main(argv: list[str] | None = None) -> int:
    """Write the file, which appears under its name only when it is complete."""
    path = parse_arguments(argv).data
    images, labels = digits()
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.part")
    with open(temporary, "wb") as file:
        np.savez(file, image=images, label=labels)
    os.replace(temporary, path)
    print(f"{path}: {len(images):,} images")
    return 0


if __name__ == "__main__":
    sys.exit(main())
