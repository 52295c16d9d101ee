// Decides which cards the graph shows, and where. A card is a run with the files that it wrote. An
// open split has a card for each of its runs; other splits share one card per job: "200 × train".
"use strict";

const CARD = { width: 176, title: 28, file: 22, pad: 7 };
// If a card has more files of one role than this, they share one line: "5 evaluations".
const MAX_LINES_PER_ROLE = 4;
const MAX_FIGURE_LINES = 1;

function cardsOf(open) {
  const cards = new Map();
  const shownAs = new Map();
  for (const [place, run] of runs.entries()) {
    const isOpen = run.split === null || open.has(run.split);
    const key = isOpen ? `run ${place}` : `job ${run.job}`;
    cardWithKey(cards, key, { run: isOpen ? run : null, job: run.job }).members.push(runNode(place));
    shownAs.set(runNode(place), key);
  }
  for (const [place, file] of files.entries()) {
    const node = fileNode(place);
    const isOpen = file.split === null || open.has(file.split);
    if (file.run === null) {
      const key = `source ${file.role}`;
      const card = cardWithKey(cards, key, { isSource: true, job: file.role });
      card.files.push({ file, node, isOpen: true });
    } else {
      cards.get(shownAs.get(runNode(file.run))).files.push({ file, node, isOpen });
    }
  }
  for (const [key, card] of cards) gatherFiles(key, card, shownAs);
  for (const card of cards.values()) describe(card);
  return { cards, shownAs, links: linksBetween(shownAs) };
}

function cardWithKey(cards, key, content) {
  if (!cards.has(key)) cards.set(key, { key, members: [], files: [], lines: [], ...content });
  return cards.get(key);
}

function gatherFiles(key, card, shownAs) {
  const byKind = Map.groupBy(card.files, ({ file, isOpen }) =>
    isOpen && (card.run || card.isSource)
      ? `open ${file.role}`
      : `${file.role} ${baseName(file.path)}`,
  );
  const kinds = new Map();
  for (const [kind, all] of byKind) {
    const isOpen = kind.startsWith("open ");
    const limit = all[0].file.role === "figure" ? MAX_FIGURE_LINES : MAX_LINES_PER_ROLE;
    if (isOpen && all.length <= limit) {
      for (const one of all) kinds.set(one.node, [one]);
    } else {
      kinds.set(kind, all);
    }
  }
  for (const [kind, all] of kinds) {
    const line = { id: `${key} / ${kind}`, members: all.map((one) => one.node) };
    line.label = all.length === 1 ? labelOf(all[0].file, card) : labelOfMany(all, card);
    card.lines.push(line);
    for (const node of line.members) shownAs.set(node, line.id);
  }
  card.lines.sort((one, other) => one.members.length - other.members.length);
}

function labelOf(file, card) {
  const isInCard = card.run && file.split === card.run.split;
  return isInCard ? baseName(file.path) : shortPath(file);
}

function labelOfMany(all, card) {
  const names = new Set(all.map(({ file }) => baseName(file.path)));
  const what = names.size === 1 ? [...names][0] : `${all[0].file.role}s`;
  return names.size === 1 ? `${count(all.length)} × ${what}` : `${count(all.length)} ${what}`;
}

function describe(card) {
  if (card.isSource) {
    card.title = null;
  } else if (card.run) {
    card.title = runName(card.run);
  } else {
    card.title = `${count(card.members.length)} × ${card.job}`;
  }
  card.width = CARD.width;
  card.height = (card.title ? CARD.title : CARD.pad) + card.lines.length * CARD.file + CARD.pad;
}

// Links lead from a line of a card to another card; between the same two there is one link.
function linksBetween(shownAs) {
  const links = new Map();
  for (const [place, run] of runs.entries()) {
    for (const input of run.inputs) {
      const source = shownAs.get(fileNode(input.file));
      const target = shownAs.get(runNode(place));
      const id = `${source} -> ${target}`;
      if (!links.has(id)) links.set(id, { id, source, target, members: [] });
      links.get(id).members.push([fileNode(input.file), runNode(place)]);
    }
  }
  return [...links.values()];
}

// Set the centre of every card (x and y) and the bends of every link, so that links lead from left
// to right.
function layOut({ cards, links }) {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 16, edgesep: 8, ranksep: 42 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const card of cards.values()) {
    graph.setNode(card.key, { width: card.width, height: card.height });
  }
  const from = (link) => link.source.split(" / ")[0];
  for (const link of links) graph.setEdge(from(link), link.target);
  dagre.layout(graph);
  const placeOf = inOrderOfSplits(graph, cards);
  for (const card of cards.values()) Object.assign(card, pick(graph.node(placeOf(card.key))));
  for (const link of links) {
    const bends = graph.edge(placeOf(from(link)), placeOf(link.target)).points.slice(1, -1);
    // A single point lies between neighbouring cards, where there is nothing to avoid.
    link.bends = bends.length > 1 ? bends : [];
  }
}

const pick = ({ x, y }) => ({ x, y });

// The layout does not know the order of splits. If their cards can be exchanged without any change
// of edges and heights, they are put in the order of the configuration.
function inOrderOfSplits(graph, cards) {
  const keys = new Map();
  for (const card of cards.values()) {
    if (card.run?.split) keys.set(`${card.run.job} ${card.run.split}`, card.key);
  }
  const placed = (split) => graph.node(keys.get(`train ${split}`));
  const wanted = splitNames.filter(placed);
  const found = [...wanted].sort((one, other) => placed(one).y - placed(other).y);
  const takesPlaceOf = new Map(wanted.map((split, place) => [split, found[place]]));
  const placeOf = (key) => {
    const run = cards.get(key).run;
    const other = run?.split && keys.get(`${run.job} ${takesPlaceOf.get(run.split)}`);
    return other ?? key;
  };
  const hasSameHeights = [...cards.keys()].every(
    (key) => cards.get(key).height === cards.get(placeOf(key)).height,
  );
  const hasSameEdges = graph.edges().every(({ v, w }) => graph.hasEdge(placeOf(v), placeOf(w)));
  return hasSameHeights && hasSameEdges ? placeOf : (key) => key;
}
