// Draws the graph with Cytoscape, and passes on which node was clicked.
"use strict";

const MIN_LEGIBLE_ZOOM = 0.62; // the smallest zoom at which names can be read
const MAX_OPEN_SPLITS = 4;

class LineageGraph {
  constructor(container, onSelect) {
    this.container = container;
    this.onSelect = onSelect;
    this.open = new Set(splitNames.length <= MAX_OPEN_SPLITS ? splitNames : []);
    this.cy = cytoscape({
      container,
      style: [],
      minZoom: 0.1,
      maxZoom: 2,
      boxSelectionEnabled: false,
      autoungrabify: true,
      autounselectify: true,
    });
    this.cy.on("tap", (event) => {
      if (event.target === this.cy) onSelect(null);
      else if (event.target.isNode()) this.choose(event.target);
    });
    container.addEventListener("keydown", (event) => this.onKey(event));
    new ResizeObserver(() => this.onResize()).observe(container);
    this.draw();
    this.restyle();
  }

  // Show the cards of these splits. If too many splits are open then, close those opened first.
  openSplits(names) {
    const missing = [...names].filter((name) => name && !this.open.has(name));
    if (!missing.length || names.size > MAX_OPEN_SPLITS) return;
    if (splitNames.length <= MAX_OPEN_SPLITS) return;
    for (const name of missing) this.open.add(name);
    while (this.open.size > MAX_OPEN_SPLITS) this.open.delete(this.open.values().next().value);
    this.draw();
  }

  closeSplits() {
    this.open.clear();
    this.draw();
  }

  draw() {
    this.layout = cardsOf(this.open);
    layOut(this.layout);
    const nodes = [...this.layout.cards.values()].flatMap((card) => this.nodesOf(card));
    const places = new Map(nodes.map((node) => [node.data.id, node]));
    const edges = this.layout.links.map((link) => edgeBetween(link, places));
    this.cy.elements().remove();
    this.cy.add([...nodes, ...edges]);
    this.fit();
    this.light(this.selection ?? null);
  }

  nodesOf(card) {
    const left = card.x - card.width / 2;
    let top = card.y - card.height / 2;
    const shape = { width: card.width, height: card.height };
    const nodes = [];
    if (card.title) {
      const state = card.run ? card.run.state : "completed";
      const data = { id: card.key, label: card.title, members: card.members, ...shape, state };
      nodes.push({ data, position: pick(card), classes: `card ${card.run ? "" : "many"}` });
      top += CARD.title;
    } else {
      top += CARD.pad;
      const data = { id: card.key, label: "", members: [], ...shape, state: "completed" };
      nodes.push({ data, position: pick(card), classes: "card source" });
    }
    for (const line of card.lines) {
      const isBad = line.members.some((node) => findingsOn(contentOf(node).path).length);
      const isWithdrawn = line.members.some((node) => usesWithdrawnRows(contentOf(node)));
      nodes.push({
        data: { ...line, width: card.width - 12, height: CARD.file - 3, x: left },
        position: { x: card.x, y: top + CARD.file / 2 },
        classes: `line ${isBad ? "bad" : ""} ${isWithdrawn ? "withdrawn" : ""}`,
      });
      top += CARD.file;
    }
    return nodes;
  }

  choose(element) {
    const members = element.data("members");
    if (!members.length) return;
    if (members.length === 1) this.onSelect(selectNode(members[0]));
    else this.onSelect(selectGroup(element.data("label"), members));
  }

  // Highlight a selection with everything upstream and downstream, and fade everything else.
  light(selection) {
    this.selection = selection;
    this.cy.batch(() => {
      this.cy.elements().removeClass("self upstream downstream faded");
      if (!selection) return;
      const { self, upstream, downstream } = selection;
      this.cy.nodes().forEach((element) => {
        const members = element.data("members");
        const has = (set) => members.some((node) => set.has(node));
        if (has(self)) element.addClass("self");
        else if (has(upstream)) element.addClass("upstream");
        else if (has(downstream)) element.addClass("downstream");
        else if (!element.hasClass("source")) element.addClass("faded");
      });
      const isIn = (set) => (node) => set.has(node) || self.has(node);
      this.cy.edges().forEach((element) => {
        const links = element.data("members");
        if (links.some((link) => link.every(isIn(upstream)))) element.addClass("upstream");
        else if (links.some((link) => link.every(isIn(downstream)))) element.addClass("downstream");
        else if (
          links.some(([, run]) => !self.size && downstream.has(run)) &&
          links.some(([file]) => upstream.has(file))
        )
          element.addClass("downstream");
        else element.addClass("faded");
      });
      this.cy.nodes(".source").forEach((card) => {
        const lines = this.cy
          .nodes(".line")
          .filter((line) => line.data("id").startsWith(`${card.id()} / `));
        if (lines.every((line) => line.hasClass("faded"))) card.addClass("faded");
      });
    });
    this.show(this.cy.nodes(".self"));
  }

  // Move selected elements into view if they are outside.
  show(elements) {
    if (elements.empty()) return;
    const box = elements.renderedBoundingBox();
    const { clientWidth: width, clientHeight: height } = this.container;
    if (box.x1 < 0 || box.y1 < 0 || box.x2 > width || box.y2 > height) this.cy.center(elements);
  }

  fit() {
    this.cy.resize();
    this.cy.fit(undefined, 18);
    if (this.cy.zoom() > 1.15) this.cy.zoom(1.15);
    if (this.cy.zoom() < MIN_LEGIBLE_ZOOM) {
      this.cy.zoom(MIN_LEGIBLE_ZOOM);
      const { x1, y1, h } = this.cy.elements().boundingBox();
      const spare = Math.max(18, (this.container.clientHeight - h * MIN_LEGIBLE_ZOOM) / 2);
      this.cy.pan({ x: 18 - x1 * MIN_LEGIBLE_ZOOM, y: spare - y1 * MIN_LEGIBLE_ZOOM });
    } else {
      this.cy.center();
    }
  }

  onResize() {
    this.fit();
    this.show(this.cy.nodes(".self"));
  }

  // Arrow keys select the nearest element in their direction.
  onKey(event) {
    const directions = {
      ArrowLeft: [-1, 0],
      ArrowRight: [1, 0],
      ArrowUp: [0, -1],
      ArrowDown: [0, 1],
    };
    const direction = directions[event.key];
    if (!direction) return;
    event.preventDefault();
    const named = this.cy.nodes().filter((element) => element.data("members").length);
    const from = this.cy.nodes(".self").first();
    const next = from.empty() ? named.first() : nearest(from, named, direction);
    if (next) this.choose(next);
  }

  restyle() {
    this.cy.style(graphStyle(colours())).update();
  }
}
