"""Run a script as `python SCRIPT` does, from a process that has imported PyTorch already.

  python -ESs scripts/launch.py [--gpu-unused] scripts/train.py --data ...

The first call starts a server in the background, which imports the large packages, and forks it for
every job. The job runs the script as it lies on the disk: the server holds nothing of memtrain, nor
of the user. It ends with the process that starts the jobs, such as Snakemake, and when no job has
come for some minutes. Where there is no server, Python runs the script as always.

The rules call this program (`running: fork_server:` in config.yaml); there is no need to call it by
hand. -E, -S and -s let it start without what it does not need. The script is run without them.
"""

import os
import sys


def main(arguments: "list[str]") -> None:
    """Run a script; or serve, as the first call has the server started."""
    if arguments[:1] == ["--serve"]:
        from memtrain.workflow.fork_server.server import serve

        serve(*arguments[1:])
    is_gpu_unused = arguments[:1] == ["--gpu-unused"]
    script = arguments[is_gpu_unused:]
    if sys.platform == "linux":
        from memtrain.workflow.fork_server.client import launch

        launch(script, is_gpu_unused=is_gpu_unused)
    os.execv(sys.executable, [sys.executable, *script])


if __name__ == "__main__":
    main(sys.argv[1:])
