"""How every script starts and ends: exit codes, and errors that a user can read."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path

from memtrain.core.errors import UserError

EXIT_STATUS = """\
exit status: 0 done; 1 a mistake in the configuration or the data, named on standard error;
2 the command line is wrong."""


def argument_parser(
    description: str, epilog: str = "", exit_status: str = EXIT_STATUS
) -> argparse.ArgumentParser:
    """Return a parser whose help keeps the line breaks of the description."""
    return argparse.ArgumentParser(
        description=description,
        epilog="\n\n".join(filter(None, [epilog, exit_status])),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(main: Callable[[], int]) -> None:
    """Run ``main`` and leave with its exit status; a ``UserError`` is printed and gives 1."""
    # A user's model or transform lies in the folder that the workflow runs in.
    sys.path.append(os.getcwd())
    try:
        status = main()
    except UserError as error:
        for problem in error.problems:
            print(f"{Path(sys.argv[0]).name}: error: {problem}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        # Whoever read the output has seen enough (`... | head`); Python would complain at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 141
    sys.exit(status)
