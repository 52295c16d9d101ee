"""Train the model of one split: rows in, weights and history out.

Every optimizer step is made from one accumulation window: the gradient of its micro-batches, added
up, is the gradient of all its rows as one batch. The weights and the history depend on the recipe
and the code alone; what depends on the machine is written to a file of its own.
"""

import argparse

from memtrain.loading_arguments import add_loading_arguments, loading_of
from memtrain.program import argument_parser, run
from memtrain.recipe import Recipe
from memtrain.trainer import Trainer


def parse_arguments(argv: list[str] | None) -> argparse.Namespace:
    """Return the command line's arguments."""
    parser = argument_parser(__doc__)
    parser.add_argument("--data", required=True, help="the record file")
    parser.add_argument("--split", required=True, help="the recipe, from resolve_splits")
    parser.add_argument("--model", required=True, help="the weights to write, .safetensors")
    parser.add_argument("--history", required=True, help="a line for every step, .csv")
    parser.add_argument("--performance", required=True, help="seconds, rows/s, memory, .json")
    add_loading_arguments(parser)
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Train one split."""
    args = parse_arguments(argv)
    trainer = Trainer(Recipe.read(args.split), args.data, loading_of(args))
    print(trainer.describe(), flush=True)
    result = trainer.run()
    result.write(model=args.model, history=args.history, performance=args.performance)
    performance = result.performance
    print(f"{performance.seconds:.1f} seconds, {performance.rows_per_second:,.0f} rows/s")
    return 0


if __name__ == "__main__":
    run(main)
