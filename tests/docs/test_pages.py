"""README and the documentation: every command and block is run, or what it names is looked up."""

import os
from pathlib import Path

import pytest
import yaml

from memtrain.config.reading import parse_configuration
from memtrain.core.errors import UserError
from tests.docs.named_things import wrong_names
from tests.docs.pages import all_pages, read_page
from tests.docs.project import Project, merged
from tests.docs.transcripts import read_calls

REPOSITORY = Path(__file__).resolve().parents[2]
LANGUAGES = {
    "bash",
    "console",
    "python",
    "yaml",
    "text",
    "table",
    "{toctree}",
    "{include}",
    "{eval-rst}",
}
#: Set to write into the pages what their commands print today.
UPDATE = "MEMTRAIN_UPDATE_DOCS"

pages = pytest.mark.parametrize(
    "page",
    [read_page(path) for path in all_pages(REPOSITORY)],
    ids=lambda page: str(page.path.relative_to(REPOSITORY)),
)


@pages
def test_every_block_has_a_language_that_is_tested(page):
    for block in page.blocks:
        assert block.language.split()[0] in LANGUAGES, f"{page.path}:{block.line}"


@pages
def test_what_commands_name_is_there(page):
    commands = [command for _, command in page.inline_commands]
    for block in page.blocks:
        if block.language in ("bash", "console"):
            calls = read_calls(block.text, block.line, has_prompts=block.language == "console")
            commands += [call.command for call in calls]
    assert [problem for command in commands for problem in wrong_names(command)] == []


def test_the_readme_is_short():
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= 150


@pages
def test_links_lead_to_files(page):
    for line, target in page.links:
        path = page.path.parent / target.split("#")[0]
        assert path.exists(), f"{page.path}:{line}: {target}"


@pages
def test_yaml_is_a_configuration(page):
    whole = yaml.safe_load((REPOSITORY / "config.yaml").read_text())
    for block in page.blocks:
        if block.language == "yaml" and not block.has("not run"):
            content = yaml.safe_load(block.text)
            if "dataset" in content and "name" in content["dataset"]:
                whole = content
            try:
                parse_configuration(merged(whole, content))
            except UserError as error:
                pytest.fail(f"{page.path}:{block.line}: {error}")


@pages
def test_commands_do_what_the_page_says(page, request):
    run = [block for block in page.blocks if not block.has("not run")]
    if not any(block.language in ("bash", "console", "python", "table") for block in run):
        pytest.skip("no command is to be run")
    project = Project(request.getfixturevalue("copy_of_default_run"), page)
    project.follow()
    if os.environ.get(UPDATE):
        write_outputs(page.path, project.outputs)
    if project.failures:
        pytest.fail("\n\n".join(project.failures), pytrace=False)


def write_outputs(path, outputs):
    """Write what commands printed below them, where the page does not shorten it by dots."""
    lines = path.read_text().splitlines()
    for call, printed in sorted(outputs, key=lambda pair: -pair[0].line):
        if call.output is not None and "..." not in call.output:
            first = call.line - 1 + len(call.command.splitlines())
            lines[first : call.end - 1] = [*printed.rstrip("\n").splitlines()]
    path.write_text("\n".join(lines) + "\n")
