"""What every script does before its other imports.

This file imports nothing that has to be installed, and Python 3.8 can parse it.
"""

import gc
import signal

from memtrain.cli.environment_check import require_environment


def prepare_imports(script_name: str) -> None:
    """Check the environment, and let the imports that follow run without garbage collection.

    PyTorch and what it imports are hundreds of thousands of objects that stay. Python's collector
    looks through them again and again while they are made, which is a third of the time that a
    script takes to start. ``entry_point.run`` turns it on again, and heeds Ctrl-C as Python does.

    Args:
        script_name: ``__name__`` of the script. A program that only imports a script, as a test
            does, keeps its garbage collection.

    Raises:
        SystemExit: with status 1 where this Python is too old or lacks a package.
    """
    require_environment()
    if script_name == "__main__":
        gc.disable()
        # Ctrl-C ends the imports without a word; a traceback of them helps nobody.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
