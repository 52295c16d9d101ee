"""Let the trained GPT write on from the beginning of a program."""

import argparse
import sys
from pathlib import Path

import torch

from memtrain.components.build import build_model_parts
from memtrain.recipes.recipe import Recipe
from memtrain.training.weights import load_weights

BEGINNING = "def read_"


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", required=True, help="the recipe, split.json")
    parser.add_argument("--model", required=True, help="the trained weights, model.safetensors")
    parser.add_argument("--text", required=True, type=Path, help="the text to write")
    parser.add_argument("--beginning", default=BEGINNING, help="default: %(default)r")
    parser.add_argument("--bytes", type=int, default=600, help="default: %(default)s")
    parser.add_argument("--temperature", type=float, default=1.0, help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Write the text."""
    args = parse_arguments(argv)
    model = build_model_parts(Recipe.read(args.split).training, torch.device("cpu")).model
    load_weights(args.model, model)
    model.eval()
    torch.manual_seed(args.seed)
    beginning = torch.tensor(list(args.beginning.encode()))
    written = model.continue_text(beginning, args.bytes, args.temperature)
    args.text.parent.mkdir(exist_ok=True)
    # A character of several bytes may be cut off at the end, or go wrong.
    args.text.write_text(bytes(written.tolist()).decode(errors="replace") + "\n")
    print(f"{args.text}: {args.bytes:,} bytes after {args.beginning!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
