"""Run a script as `python SCRIPT` does, from a process that has imported PyTorch already.

  python -ESs scripts/launch.py [--cpu-only] scripts/train.py --data ...

The first call starts a server in the background, which imports the large packages, and forks it for
every job. The job runs the script as it lies on the disk: the server holds nothing of memtrain, nor
of the user. It ends with the process that starts the jobs, such as Snakemake, and when no job has
come for some minutes. Where there is no server, Python runs the script as always.

The rules call this program (`running: fork_server:` in config.yaml); there is no need to call it by
hand. -E, -S and -s let it start without what it does not need. The script is run without them.
"""

import os
import sys

TYPE_CHECKING = False  # As typing's, whose import takes longer than all of this.
if TYPE_CHECKING:
    from argparse import Namespace


def parse_arguments(arguments: "list[str]") -> "Namespace":
    """Return the command line's arguments; show the help where it is asked for, or nothing is."""
    # Imported late: a job that is launched does not wait for it.
    import argparse

    parser = argparse.ArgumentParser(
        prog="launch.py",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    text = "say that the script uses no GPU, though there may be one"
    parser.add_argument("--cpu-only", action="store_true", help=text)
    parser.add_argument("script", metavar="SCRIPT", help="the script to run")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")
    return parser.parse_args(arguments)


def main(arguments: "list[str]") -> None:
    """Run a script; or serve, as the first call has the server started."""
    if not arguments or arguments[0] in ("-h", "--help"):
        parse_arguments(arguments)
    if arguments[:1] == ["--serve"]:
        from memtrain.workflow.fork_server.server import serve

        serve(*arguments[1:])
    is_cpu_only = arguments[:1] == ["--cpu-only"]
    script = arguments[is_cpu_only:]
    if sys.platform == "linux":
        from memtrain.workflow.fork_server.client import launch

        launch(script, is_cpu_only=is_cpu_only)
    os.execv(sys.executable, [sys.executable, *script])


if __name__ == "__main__":
    main(sys.argv[1:])
