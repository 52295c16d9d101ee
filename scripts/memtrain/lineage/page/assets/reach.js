// Selections, with everything upstream and downstream of them.
"use strict";

const sources = new Map();
const targets = new Map();

for (const place of files.keys()) {
  sources.set(fileNode(place), []);
  targets.set(fileNode(place), []);
}
for (const [place, run] of runs.entries()) {
  sources.set(runNode(place), []);
  targets.set(runNode(place), []);
  for (const input of run.inputs) connect(fileNode(input.file), runNode(place));
}
for (const [place, file] of files.entries()) {
  if (file.run !== null) connect(runNode(file.run), fileNode(place));
}

function connect(source, target) {
  targets.get(source).push(target);
  sources.get(target).push(source);
}

// All nodes that can be reached from some nodes; `steps` maps each node to the next ones.
function reach(seeds, steps) {
  const found = new Set(seeds);
  const queue = [...seeds];
  while (queue.length) {
    for (const node of steps.get(queue.pop())) {
      if (!found.has(node)) {
        found.add(node);
        queue.push(node);
      }
    }
  }
  return found;
}

const without = (set, others) => new Set([...set].filter((node) => !others.has(node)));

// A selection holds its own nodes (`self`), those upstream and downstream of it, the ranges of rows
// that it marks in the strip, and the splits that it highlights.

function selectNodes(nodes, more) {
  const self = new Set(nodes);
  const upstream = without(reach(nodes, sources), self);
  const downstream = without(reach(nodes, targets), self);
  const splits = new Set();
  for (const node of [...self, ...upstream, ...downstream]) splits.add(splitOf(node));
  return { self, upstream, downstream, splits, ranges: [], ...more };
}

function selectNode(node) {
  return selectNodes([node], { kind: isRun(node) ? "run" : "file", node });
}

function selectGroup(title, nodes) {
  return selectNodes(nodes, { kind: "group", title });
}

function selectSplit(name) {
  const own = [...sources.keys()].filter((node) => splitOf(node) === name);
  return { ...selectNodes(own, { kind: "split", name }), splits: new Set([name]) };
}

// The runs whose results were made from some of these rows, with everything downstream of them.
// `lineage.py impact` also names the manifest and the recipes, which only describe the rows.
function selectRows(range, more) {
  const readers = [];
  const upstream = new Set();
  for (const [place, run] of runs.entries()) {
    for (const input of run.inputs) {
      if (input.rows && common(input.rows, [range]).length) {
        readers.push(runNode(place));
        for (const node of reach([fileNode(input.file)], sources)) upstream.add(node);
      }
    }
  }
  const downstream = reach(readers, targets);
  const splits = page.splits.filter(
    (split) => common([...split.train, ...split.validate, ...split.evaluate], [range]).length,
  );
  return {
    kind: "rows",
    self: new Set(),
    upstream,
    downstream,
    splits: new Set(splits.map((split) => split.name)),
    ranges: [range],
    ...more,
  };
}

function selectShard(number) {
  return selectRows(shardRange(number), { shard: number });
}
