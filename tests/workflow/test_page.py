"""The lineage page as people use it: opened from the disk in a browser, clicked, searched."""

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from memtrain.lineage.page.content import page_content
from memtrain.lineage.page.rendering import write_page
from memtrain.lineage.page.split_lines import SplitLine
from memtrain.recipes.withdrawals import Withdrawal
from tests.unit.lineage.many_splits import content_of
from tests.workflow.test_lineage import flip_byte

CHROMIUM = shutil.which("chromium")
PAGE = "results/small/summary/lineage.html"

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="needs Chromium: apt-get install --no-install-recommends chromium"
)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def view(browser):
    """Return a function that opens a page.

    Afterwards the test fails if a page has logged an error, or has loaded anything.
    """
    errors = []
    requests = []
    opened = set()
    context = browser.new_context(viewport={"width": 1440, "height": 900})

    def view(path, **media):
        page = context.new_page()
        page.on("console", lambda message: errors.append(message.text))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.emulate_media(**media)
        opened.add(Path(path).absolute().as_uri())
        page.goto(Path(path).absolute().as_uri())
        return page

    yield view
    context.close()
    assert errors == []
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert {url for url in requests if url.startswith("file:")} <= opened


def cards(page, selector="node.card"):
    """Return the label and the box of all cards, or of other nodes.

    A box is left, top, right and bottom in pixels of the window.
    """
    script = """selector => {
        const { left, top } = document.getElementById("graph").getBoundingClientRect();
        return graph.cy.nodes(selector).map((node) => {
            const box = node.renderedBoundingBox({ includeLabels: false, includeOverlays: false });
            return [node.data("label"), left + box.x1, top + box.y1, left + box.x2, top + box.y2];
        });
    }"""
    return page.evaluate(script, selector)


def click(page, card, line=None):
    """Click on a card of the graph, or on one line of the card."""
    _, left, top, right, bottom = next(box for box in cards(page) if box[0] == card)
    if line is None:
        page.mouse.click(left + 20, top + 6)
        return
    inside = [
        box
        for box in cards(page, "node.line")
        if box[0] == line and left < box[1] < right and top < box[2] < bottom
    ]
    ((_, left, top, right, bottom),) = inside
    page.mouse.click((left + right) / 2, (top + bottom) / 2)


def group_title(count, job):
    """Return the title of a card that stands for several runs of a job."""
    return f"{count} \N{MULTIPLICATION SIGN} {job}"


def highlighted(page, how):
    """Return the labels of the cards that are highlighted as "upstream", "self", ..."""
    return {label for label, *_ in cards(page, f"node.card.{how}")} - {""}


def search(page, text):
    page.keyboard.press("/")
    page.fill("#search-text", text)
    page.keyboard.press("Enter")


def record(page):
    """Return the text of the record that the page shows, without empty lines."""
    return re.sub(r"\n+", "\n", page.inner_text("#record"))


@pytest.fixture(scope="module")
def finished_page(finished_project, tmp_path_factory):
    """Return the page of a finished project, drawn after all of its runs have ended."""
    path = tmp_path_factory.mktemp("page") / "page.html"
    finished_project.lineage("page", path)
    return path


def test_a_click_highlights_upstream_and_downstream_and_shows_the_record(
    finished_project, finished_page, view
):
    page = view(finished_page)
    click(page, "train · first", "model.safetensors")
    assert highlighted(page, "upstream") == {
        "generate_data",
        "index_shards",
        "resolve_splits",
        "train · first",
    }
    assert highlighted(page, "downstream") == {"evaluate · first", "draw · first", "summarize"}
    model = finished_project / "results/small/splits/first/model.safetensors"
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    shown = record(page)
    assert f"sha256:{digest}" in shown
    assert "data.npy rows [0, 1,500)" in shown
    page.click("#record button.link >> text='train · first'")
    shown = record(page)
    assert re.search(r"started\s+20\d\d-", shown)
    for part in ("run · completed", "training.batch_size", "scripts/train.py", "processor"):
        assert part in page.text_content("#record"), part
    page.keyboard.press("Escape")
    assert highlighted(page, "self") == highlighted(page, "faded") == set()


def test_the_page_that_summarize_draws_shows_the_draw_jobs_and_summarize_as_running(
    finished_project, view
):
    page = view(finished_project / PAGE)
    assert "It shows that run as running" in page.inner_text("#notes")
    titles = {label for label, *_ in cards(page)}
    assert {f"draw · {split}" for split in ("first", "second", "share")} <= titles
    click(page, "summarize")
    assert "run · running" in record(page)
    assert "first/evaluation.json" in record(page)


def test_a_search_for_rows_highlights_the_runs_that_impact_lists(
    finished_project, finished_page, view
):
    page = view(finished_page)
    search(page, "row 2500")
    assert "Trained on these rows\nsecond\nshare" in record(page)
    reached = json.loads(finished_project.lineage("impact", "--rows", "2500", "--json"))
    runs = {one["job"].replace("/", " · ") for one in reached}
    # These jobs only describe the rows.
    assert highlighted(page, "downstream") == runs - {"index_shards", "resolve_splits"}
    search(page, "shard 19")
    assert "Evaluated on these rows\nfirst\nsecond\nshare" in record(page)
    model = finished_project / "results/small/splits/share/model.safetensors"
    search(page, hashlib.sha256(model.read_bytes()).hexdigest()[:12])
    assert "splits/share/model.safetensors" in record(page)
    search(page, "no such thing")
    assert page.inner_text("#search-found") == "nothing found"


def colour_at(page, row, line):
    """Return the colour of the strip at a row, in the middle of a split's line."""
    script = """([row, line]) => {
        const canvas = document.getElementById("bars");
        const x = Math.round((row / page.rows.count) * canvas.width);
        const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        copy.drawImage(canvas, x, line * 26 + 13, 1, 1, 0, 0, 1, 1);
        const [r, g, b] = copy.getImageData(0, 0, 1, 1).data;
        return "#" + [r, g, b].map((part) => part.toString(16).padStart(2, "0")).join("");
    }"""
    return page.evaluate(script, [row, line])


def colour_named(page, name):
    """Return the colour that the page uses for a name such as "train"."""
    return page.evaluate("name => colours()[name]", name)


def test_the_strip_shows_rows_trained_evaluated_corrupt_and_withdrawn(project, view):
    project.lineage("withdraw", "--rows", "1100:1400", "--reason", "twice in it")
    flip_byte(project, 2500)
    answer = project.lineage("page", "before.html")
    assert "before.html: 3 splits" in answer
    page = view(project / "before.html")
    assert colour_at(page, 500, 0) == colour_named(page, "train")
    assert colour_at(page, 19_950, 0) == colour_named(page, "evaluate")
    assert colour_at(page, 2500, 1) == colour_named(page, "train")
    striped = {colour_at(page, row, 0) for row in range(1110, 1390, 10)}
    assert colour_named(page, "train") not in striped
    assert len(striped) > 1
    assert "never compared" in record(page)

    answer = project.lineage("page", "after.html", "--verify", status=1)
    assert "corrupt: results/small/data.npy: shard 2" in answer
    page = view(project / "after.html")
    assert "shard 2 (rows [2000, 3000)" in record(page)
    for line in (1, 2):
        assert colour_at(page, 2500, line) == colour_named(page, "corrupt")
    assert colour_at(page, 500, 0) == colour_named(page, "train")
    click(page, "train · second", "model.safetensors")
    assert "it cannot be made again" in record(page)
    click(page, "train · second")
    assert "why\nnew" in record(page)
    # The page shows what verify found until verify finds the rows unchanged.
    flip_byte(project, 2500)
    project.lineage("page", "known.html")
    page = view(project / "known.html")
    assert colour_at(page, 2500, 1) == colour_named(page, "corrupt")
    project.lineage("verify", status=1)  # only the finding about withdrawn rows is left
    project.lineage("page", "whole.html")
    page = view(project / "whole.html")
    assert colour_at(page, 2500, 1) == colour_named(page, "train")


def test_a_click_on_the_strip_selects_a_split_or_a_shard(finished_project, view):
    page = view(finished_project / PAGE)
    box = page.locator("#bars").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 2500 / 20_000, box["y"] + 26 * 1.5)
    assert record(page).startswith("split\nsecond")
    assert "trained on\n[1,700, 3,000)" in record(page)
    page.mouse.move(box["x"] + box["width"] * 10_500 / 20_000, box["y"] + 26 * 1.5)
    assert page.inner_text("#under-pointer").endswith("shard 10")
    page.mouse.down()
    page.mouse.up()
    assert record(page).startswith("rows\nshard 10")
    assert "Trained on these rows\nno split" in record(page)
    manifest = json.loads((finished_project / "results/small/manifest/part-00000.json").read_text())
    assert manifest["shards"][10]["digest"] in record(page)


def test_graph_strip_and_record_can_be_reached_with_the_keyboard(finished_project, view):
    page = view(finished_project / PAGE)
    page.focus("#graph")
    seen = []
    for key in ("ArrowRight", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
        seen.append(page.inner_text("#record h2"))
    assert len(set(seen)) == 3
    page.keyboard.press("Escape")
    page.focus(".split-line >> nth=0")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert record(page).startswith("split\nsecond")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#record') !== null")


def overlaps(boxes, border=2):
    """Return the pairs of labels whose boxes overlap by more than a border in pixels."""
    boxes = [
        (label, left + border, top + border, right - border, bottom - border)
        for label, left, top, right, bottom in boxes
    ]
    return [
        (one[0], other[0])
        for place, one in enumerate(boxes)
        for other in boxes[:place]
        if one[1] < other[3] and other[1] < one[3] and one[2] < other[4] and other[2] < one[4]
    ]


def test_200_splits_share_a_few_cards_and_each_can_be_opened(tmp_path, view):
    write_page(tmp_path / "page.html", content_of(tmp_path / "records"))
    page = view(tmp_path / "page.html")
    titles = {label for label, *_ in cards(page)} - {""}
    assert {
        group_title(200, "train"),
        group_title(200, "evaluate"),
        "resolve_splits",
        "summarize",
    } <= titles
    assert len(cards(page)) < 10
    # The number of elements grows with the splits only: the 10,000 shards are pixels.
    assert page.evaluate("document.querySelectorAll('*').length") < 200 * 6
    search(page, "part_117")
    assert {"train · part_117", group_title(199, "train")} <= {label for label, *_ in cards(page)}
    assert highlighted(page, "self") == {"train · part_117", "evaluate · part_117"}
    for name in ("part_001", "part_002", "part_003", "part_004"):
        search(page, name)
    assert {"train · part_004", group_title(196, "train")} <= {label for label, *_ in cards(page)}
    assert overlaps(cards(page)) == overlaps(cards(page, "node.line")) == []
    assert page.evaluate("graph.cy.zoom()") >= 0.62
    search(page, "shard 100")
    page.check("#only-highlighted")
    lines = page.locator(".split-line:visible .name").all_inner_texts()
    uses = re.search(r"splits that use these rows\s+(\d+) of 200", record(page))
    assert len(lines) == int(uses[1]) < 20
    page.click("#collapse")
    assert group_title(200, "train") in {label for label, *_ in cards(page)}


HOSTILE = "</script><script>window.broken = 1</script><img src=x onerror='window.broken = 1'>"


def test_names_are_shown_as_text_whatever_they_hold(tmp_path, view):
    withdrawn = Withdrawal(rows=(0, 1), reason=HOSTILE, at="x", digest="x")
    lines = [SplitLine(HOSTILE, [(0, 5)], [(5, 9)], {"R²": HOSTILE}, HOSTILE, HOSTILE)]
    write_page(tmp_path / "page.html", page_content(HOSTILE, lines, withdrawals=[withdrawn]))
    page = view(tmp_path / "page.html")
    assert page.inner_text("h1") == HOSTILE
    page.keyboard.press("/")
    page.fill("#search-text", "window")
    assert HOSTILE in page.inner_text("#search-found")
    page.keyboard.press("Enter")
    assert HOSTILE in record(page)
    assert page.evaluate("[window.broken, document.querySelectorAll('img').length]") == [None, 0]
    assert "These runs left no records" in page.inner_text("#notes")


def test_the_page_runs_no_script_that_is_added_to_it_and_fetches_nothing(finished_project, browser):
    page = browser.new_page()
    page.goto((finished_project / PAGE).absolute().as_uri())
    page.evaluate("""() => {
        const added = document.createElement("script");
        added.textContent = "window.broken = 1";
        document.body.append(added);
    }""")
    assert page.evaluate("window.broken") is None
    fetched = page.evaluate("fetch('data:text/plain,x').then(() => 'got it', () => 'refused')")
    assert fetched == "refused"
    page.close()


def test_the_page_is_drawn_in_the_colours_of_a_light_and_of_a_dark_scheme(finished_project, view):
    backgrounds = []
    for scheme in ("light", "dark"):
        page = view(finished_project / PAGE, color_scheme=scheme)
        backgrounds.append(colour_named(page, "page"))
        assert colour_at(page, 500, 0) == colour_named(page, "train")
        page.close()
    assert len(set(backgrounds)) == 2


def test_long_names_of_splits_can_be_told_apart(view, tmp_path):
    names = [f"wide_network-on_all_features-with_seed_{number:02}" for number in range(30)]
    lines = [SplitLine(name, [(0, 50)], [(50, 100)]) for name in names]
    write_page(tmp_path / "page.html", page_content("sea", lines))
    page = view(tmp_path / "page.html")
    assert page.locator(".split-line .name").all_text_contents() == names
    cut = "(all) => all.filter((one) => one.scrollWidth > one.clientWidth).length"
    assert page.locator(".name, .name .start").evaluate_all(cut) == 0
    page.set_viewport_size({"width": 560, "height": 900})
    assert page.locator(".name .start").evaluate_all(cut) == len(names)
    # The ends of the names are where they differ.
    assert page.locator(".name").evaluate_all(cut) == 0


def test_a_page_without_splits_opens(view, tmp_path):
    write_page(tmp_path / "page.html", page_content("sea", []))
    assert view(tmp_path / "page.html").locator("#strip").count() == 1
