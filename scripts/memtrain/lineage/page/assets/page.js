// Connects the parts of the page: a selection in one of them shows in all.
"use strict";

const byId = (id) => document.getElementById(id);

function select(selection) {
  if (selection) graph?.openSplits(selection.kind === "group" ? new Set() : selection.splits);
  graph?.light(selection);
  strip.light(selection);
  panel.show(selection);
  updateCloseButton();
}

function updateCloseButton() {
  byId("collapse").hidden = !graph || splitNames.length <= MAX_OPEN_SPLITS || !graph.open.size;
}

document.querySelector("h1").textContent = page.dataset;
byId("about").textContent = [
  "lineage",
  plural(page.splits.length, "split"),
  `as of ${timeText(page.made_at)}`,
].join(" · ");
if (page.notes.length) {
  byId("notes").hidden = false;
  byId("notes").append(...page.notes.map((note) => element("p", {}, note)));
}

const panel = new RecordPanel(byId("record"), select);
const strip = new RowStrip(select);
const graph = runs.length ? new LineageGraph(byId("graph"), select) : null;
byId("graph-section").hidden = !graph;
new Search(select);
select(null);

byId("fit").addEventListener("click", () => graph.fit());
byId("collapse").addEventListener("click", () => {
  graph.closeSplits();
  updateCloseButton();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") select(null);
  if (event.key === "/" && document.activeElement !== byId("search-text")) {
    event.preventDefault();
    byId("search-text").focus();
  }
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  graph?.restyle();
  strip.draw();
});
