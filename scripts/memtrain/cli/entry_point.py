"""How every script starts and ends: its help, its messages, its exit status."""

import argparse
import gc
import io
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from memtrain.core.errors import UserError

EXIT_STATUS = """\
exit status: 0 done; 1 a mistake in the configuration or the data, named on standard error;
2 the command line is wrong."""

_log = logging.getLogger(__name__)


def argument_parser(
    program: str, epilog: str = "", exit_status: str = EXIT_STATUS
) -> argparse.ArgumentParser:
    """Return a parser whose help keeps the line breaks of its texts.

    Args:
        program: ``__name__`` of the program. The docstring of this module says what the program
            does; were the program to read it itself, a better docstring would count as other code.
        epilog: text below the list of arguments.
        exit_status: what the exit statuses of the program mean.
    """
    return argparse.ArgumentParser(
        description=sys.modules[program].__doc__,
        epilog="\n\n".join(filter(None, [epilog, exit_status])),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def run(main: Callable[[], int]) -> None:
    """Run a program and leave with its exit status.

    A ``UserError`` is logged, a line for each of its problems, and ends with status 1.

    Args:
        main: the program; it reads its arguments from ``sys.argv`` and returns its exit status.
    """
    # What was imported stays: no collection has to look through it, now or at the end.
    gc.freeze()
    gc.enable()
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _write_any_character()
    show_messages()
    # The user's own models and transforms lie in the folder that the workflow runs in.
    sys.path.append(os.getcwd())
    status = _status_of(main)
    gc.freeze()
    sys.exit(status)


def _status_of(main: Callable[[], int]) -> int:
    """Run a program; log, in a sentence, what ended it early, and return its exit status."""
    try:
        status = main()
        if sys.stdout:
            sys.stdout.flush()
        return status
    except UserError as error:
        for problem in error.problems:
            _log.error(problem)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of the output has seen enough (`... | head`).
        _drop_output()
        return 141
    except MemoryError as error:
        _log.error(f"the memory is full ({error}). Ask for more, or for smaller batches.")
    except OSError as error:
        if error.errno is None:
            raise
        _log.error(_words_of(error))
        _drop_output()
    return 1


def _words_of(error: OSError) -> str:
    if error.filename is None:
        return f"standard output, or a file that the system does not name: {error.strerror}."
    return f"{os.fsdecode(error.filename)}: {error.strerror}."


def _drop_output() -> None:
    """Write what is still in the buffers nowhere: Python would try once more at its end."""
    if sys.stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write_any_character() -> None:
    """Write characters that a terminal or a file name's encoding lacks as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def show_messages() -> None:
    """Write what memtrain logs to standard error, from the level INFO on.

    Of several processes that work together only the first one speaks; the others log errors alone.
    """
    handler = _StandardErrorHandler()
    handler.setFormatter(_MessageFormatter())
    handler.addFilter(_is_for_this_rank)
    logger = logging.getLogger("memtrain")
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    # A user's module may have set up the root logger, which would write everything a second time.
    logger.propagate = False


def is_main_rank() -> bool:
    """Return whether this process is the only one, or the first of several that work together.

    torchrun sets the variable RANK. It can be read before the processes have found each other, and
    without torch.
    """
    return int(os.environ.get("RANK", 0)) == 0


class _StandardErrorHandler(logging.StreamHandler):
    """Writes to the present standard error: a progress bar replaces it, to print above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        self.setStream(sys.stderr)
        super().emit(record)


class _MessageFormatter(logging.Formatter):
    """Puts "warning: " before warnings, and the program's name and "error: " before errors."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        if record.levelno >= logging.ERROR:
            return f"{Path(sys.argv[0]).name}: error: {text}"
        return f"warning: {text}" if record.levelno >= logging.WARNING else text


def _is_for_this_rank(record: logging.LogRecord) -> bool:
    """Return whether this process should log a record."""
    return record.levelno >= logging.ERROR or is_main_rank()
