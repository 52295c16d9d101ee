// The style of the graph, the next element in a direction, and the shape of an edge.
"use strict";

// The colours of the style sheet, as they are now: dark mode has others.
function colours() {
  const style = getComputedStyle(document.documentElement);
  return new Proxy({}, { get: (_, name) => style.getPropertyValue(`--${name}`).trim() });
}

function graphStyle(colour) {
  const text = {
    label: "data(label)",
    "font-family": getComputedStyle(document.body).fontFamily,
    "font-size": 12,
    color: colour.text,
    "text-wrap": "ellipsis",
    "text-halign": "right",
    "text-max-width": (element) => element.data("width") - 16,
    "text-margin-x": (element) => 8 - element.data("width"),
  };
  const box = { shape: "round-rectangle", width: "data(width)", height: "data(height)" };
  const lit = (name) => ({
    "border-color": colour[name],
    "border-width": 2,
    "border-opacity": 1,
  });
  return [
    { selector: "node", style: { ...text, ...box, "overlay-opacity": 0, "outline-width": 0 } },
    {
      selector: "node.card",
      style: {
        "background-color": colour.card,
        "border-color": colour.border,
        "border-width": 1,
        "corner-radius": 8,
        "font-weight": 600,
        "text-valign": "top",
        "text-margin-y": 22,
        "z-index": 1,
      },
    },
    { selector: "node.many", style: { "border-style": "double", "border-width": 4 } },
    {
      selector: "node.source",
      style: { "background-color": colour.page, "border-style": "dashed" },
    },
    { selector: "node[state = 'running']", style: { "border-style": "dashed" } },
    {
      selector: "node.line",
      style: {
        "background-color": colour.line,
        "border-width": 0,
        "corner-radius": 4,
        "font-size": 11.5,
        "text-valign": "center",
        "z-index": 2,
      },
    },
    {
      selector: "node.withdrawn",
      style: { "background-image": hatchedTile(colour), "background-repeat": "repeat" },
    },
    { selector: "node.bad", style: { "background-color": colour.corrupt, color: colour.onstrong } },
    {
      selector: "edge",
      style: {
        width: 1.2,
        "line-color": colour.edge,
        "target-arrow-color": colour.edge,
        "target-arrow-shape": "triangle",
        "arrow-scale": 0.7,
        "curve-style": "unbundled-bezier",
        "edge-distances": "endpoints",
        "source-endpoint": "data(from)",
        "target-endpoint": "data(to)",
        "control-point-weights": "data(weights)",
        "control-point-distances": "data(distances)",
        "overlay-opacity": 0,
        "z-index": 0,
      },
    },
    { selector: "node.upstream", style: lit("upstream") },
    { selector: "node.downstream", style: lit("downstream") },
    { selector: "node.self", style: { ...lit("selected"), "border-width": 3 } },
    ...["upstream", "downstream"].map((name) => ({
      selector: `edge.${name}`,
      style: {
        "line-color": colour[name],
        "target-arrow-color": colour[name],
        width: 2,
        "z-index": 1,
      },
    })),
    { selector: "node.faded", style: { opacity: 0.35 } },
    { selector: "edge.faded", style: { opacity: 0.16 } },
  ];
}

// The nearest element in a direction. Distances at right angles to it count twice.
function nearest(from, elements, [dx, dy]) {
  const start = anchor(from);
  let best = null;
  let least = Infinity;
  elements.forEach((element) => {
    const { x, y } = anchor(element);
    const along = (x - start.x) * dx + (y - start.y) * dy;
    const aside = Math.abs((x - start.x) * dy) + Math.abs((y - start.y) * dx);
    const distance = along + 2 * aside;
    if (element !== from && along > 2 && distance < least) {
      best = element;
      least = distance;
    }
  });
  return best;
}

// Stripes under which a name stays legible.
function hatchedTile(colour) {
  const stripe = `<path d="M-1 9L9 -1M-1 1L1 -1M7 9L9 7" stroke="${colour.hatch}" stroke-opacity="0.55"/>`;
  const tile = `<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8">${stripe}</svg>`;
  return `data:image/svg+xml;utf8,${encodeURIComponent(tile)}`;
}

// The point from which distances are measured: for a card its title, so that its lines lie below.
function anchor(element) {
  const { x, y } = element.position();
  return element.hasClass("card")
    ? { x, y: y - element.data("height") / 2 + CARD.title / 2 }
    : { x, y };
}

// An edge leaves a line on the right, bends where the layout has left room for it, and enters a
// card from the left.
function edgeBetween(link, places) {
  const line = places.get(link.source);
  const card = places.get(link.target);
  const title = card.position.y - card.data.height / 2 + CARD.title / 2;
  const start = { x: line.position.x + line.data.width / 2, y: line.position.y };
  const end = { x: card.position.x - card.data.width / 2, y: title };
  const [dx, dy] = [end.x - start.x, end.y - start.y];
  const straight = Math.min(24, dx / 3);
  const bends = [
    { x: start.x + straight, y: start.y },
    ...link.bends,
    { x: end.x - straight, y: end.y },
  ];
  const square = dx ** 2 + dy ** 2 || 1;
  // Cytoscape wants the place of a bend along the straight line between the ends, and its distance
  // from that line.
  const along = ({ x, y }) => ((x - start.x) * dx + (y - start.y) * dy) / square;
  const aside = ({ x, y }) => ((y - start.y) * dx - (x - start.x) * dy) / Math.sqrt(square);
  return {
    data: {
      ...link,
      from: `${line.data.width / 2}px 0px`,
      to: `${-card.data.width / 2}px ${title - card.position.y}px`,
      weights: bends.map(along),
      distances: bends.map(aside),
    },
  };
}
