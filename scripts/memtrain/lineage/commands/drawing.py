"""page: everything that is known, on one page that people click through."""

from memtrain.config.reading import read_configuration
from memtrain.data.manifest import Manifest
from memtrain.lineage.commands.base import Commands, Question
from memtrain.lineage.commands.checking import compared
from memtrain.lineage.page.content import page_content
from memtrain.lineage.page.rendering import write_page
from memtrain.lineage.page.split_lines import read_split_lines
from memtrain.lineage.queries.index import LineageIndex


def add_commands(commands: Commands) -> None:
    """Add page."""
    one = commands.question("page", draw_page, "one HTML file: the graph, and the rows of splits")
    one.add_argument("out", metavar="OUT.html", help="the file to write; it needs nothing else")
    one.add_argument(
        "--verify",
        action="store_true",
        help="compare all files and rows first; else the page shows what was found the last time",
    )


def draw_page(question: Question) -> int:
    """Write the page of a dataset."""
    configuration = read_configuration(question.results.configuration)
    found = compared(question).findings if question.arguments.verify else []
    manifest = question.results.manifest
    content = page_content(
        configuration.dataset.name,
        read_split_lines(configuration, question.results.splits),
        Manifest.read(manifest) if manifest.exists() else None,
        question.withdrawals,
        # Opened anew: it has the record of the comparison.
        LineageIndex(question.results.records),
    )
    write_page(question.arguments.out, content)
    lines = [f"{one.kind}: {one.message}" for one in found]
    lines.append(f"{question.arguments.out}: {len(content['splits']):,} splits")
    return question.answer({"page": question.arguments.out, "findings": found}, lines, not found)
