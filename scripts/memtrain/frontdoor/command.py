"""The command ``memtrain``: which of its commands is meant, and who does it."""

import argparse
from collections.abc import Sequence

from memtrain.frontdoor.init_arguments import add_arguments
from memtrain.frontdoor.script_run import run_script

#: Commands that are scripts, with what they are for.
SCRIPTS = {
    "status": "show how far the trainings are",
    "lineage": "find out what made a result, and what a row was used for",
    "predict": "predict new rows by a trained model",
    "export": "export a trained model for programs that have PyTorch alone, with a model card",
    "track": "mirror the trainings into TensorBoard or MLflow",
    "describe_table": "tell what stands in the columns of a table",
    "check_components": "check the models, losses and the like that a configuration names",
    "clean": "remove what earlier configurations left behind",
}


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands to the parser of the program."""
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    text = "look at a table, and write a commented config.yaml for it"
    add_arguments(commands.add_parser("init", help=text, description=f"{text.capitalize()}."))
    text = "run the workflow on config.yaml; what follows is handed to snakemake"
    more = "`snakemake --help` lists what can follow, such as --dry-run, --cores 4, --forceall."
    commands.add_parser("run", help=text, description=f"{text.capitalize()}. {more}")
    text = "print a script by which bash or zsh complete these commands"
    completion = commands.add_parser("completion", help=text, description=f"{text.capitalize()}.")
    completion.add_argument("shell", choices=("bash", "zsh"))
    for name, text in SCRIPTS.items():
        text = f"{text} ({name}.py, with its arguments)"
        commands.add_parser(name, help=text, description=f"{text.capitalize()}.")


def hand_on(argv: Sequence[str]) -> None:
    """Run a command that is a script, with all of its arguments; do nothing for other commands.

    Raises:
        SystemExit: with the exit status of the script.
    """
    if argv and argv[0] in SCRIPTS:
        run_script(argv[0], argv[1:], f"memtrain {argv[0]}")
