"""The command ``page``: the lineage of a dataset as one HTML file."""

from memtrain.config.reading import read_configuration
from memtrain.data.manifest import Manifest
from memtrain.lineage.commands.base import Commands, Query
from memtrain.lineage.index.lineage_index import LineageIndex


def add_parser(commands: Commands) -> None:
    """Add the command and its arguments."""
    parser = commands.add_query(
        "page", run, "write one HTML file with the graph of all results and the rows of all splits"
    )
    parser.add_argument(
        "out", metavar="OUT.html", help="the file to write, which needs no other file"
    )
    parser.add_argument(
        "--verify",
        action="store_true",
        help="compare all files and rows with the records first; without it, the page shows what "
        "the last comparison found",
    )


def run(query: Query) -> int:
    """Write the page of a dataset."""
    # Imported here: other commands need not wait for it.
    from memtrain.lineage.page.content import page_content
    from memtrain.lineage.page.rendering import write_page
    from memtrain.lineage.page.split_lines import read_split_lines

    configuration = read_configuration(query.results.configuration)
    findings = query.verify_everything().findings if query.arguments.verify else []
    manifest = query.results.manifest
    content = page_content(
        configuration.dataset.name,
        read_split_lines(configuration, query.results.splits),
        manifest=Manifest.read(manifest) if manifest.exists() else None,
        withdrawals=query.withdrawals,
        # Opened again, since the comparison has added a record.
        index=LineageIndex(query.results.records, query.project),
    )
    write_page(query.arguments.out, content)
    lines = [f"{one.kind}: {one.message}" for one in findings]
    lines.append(f"{query.arguments.out}: {len(content.splits):,} splits")
    answer = {"page": query.arguments.out, "findings": findings}
    return query.answer(answer, lines, is_fine=not findings)
