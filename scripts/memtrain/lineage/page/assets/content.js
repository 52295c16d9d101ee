// The content of the page, and the text of its numbers, times and names.
"use strict";

const page = JSON.parse(document.getElementById("content").textContent);
const { files, runs, shared } = page.graph;
const splitNames = page.splits.map((split) => split.name);

// A node of the graph is named "f3" for the file files[3], and "r3" for the run runs[3].
const fileNode = (place) => `f${place}`;
const runNode = (place) => `r${place}`;
const isRun = (node) => node[0] === "r";
const contentOf = (node) => (isRun(node) ? runs : files)[Number(node.slice(1))];
const splitOf = (node) => contentOf(node).split;
const baseName = (path) => path.split("/").at(-1);

function shortPath(file) {
  return file.split ? `${file.split}/${baseName(file.path)}` : baseName(file.path);
}

function runName(run) {
  return run.split ? `${run.job} · ${run.split}` : run.job;
}

function nodeName(node) {
  return isRun(node) ? runName(contentOf(node)) : shortPath(contentOf(node));
}

const count = (number) => number.toLocaleString("en-US");
const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
const rangeText = ([start, end]) => `[${count(start)}, ${count(end)})`;
const rowsOf = (ranges) => ranges.reduce((sum, [start, end]) => sum + end - start, 0);

function timeText(time) {
  return time ? `${time.slice(0, 10)} ${time.slice(11, 19)} UTC` : "-";
}

function bytesText(bytes) {
  const units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  while (bytes >= 1024 && power < units.length - 1) {
    bytes /= 1024;
    power += 1;
  }
  return `${power ? bytes.toFixed(1) : count(bytes)} ${units[power]}`;
}

// The rows that the last verification found corrupt, and the rows that are withdrawn.
const findings = page.verification ? page.verification.findings : [];
const corruptShards = findings.filter((one) => one.kind === "corrupt" && "shard" in one.details);
const corruptRanges = corruptShards.map((one) => one.details.rows);
const withdrawnRanges = page.withdrawn.map((one) => one.rows);

function findingsOn(path) {
  return findings.filter((one) => one.path === path && !("shard" in one.details));
}

// The rows of a model are those that its training read, since its recipe may have changed later.
function usesWithdrawnRows(file) {
  if (file.role !== "model" || file.run === null) return false;
  return runs[file.run].inputs.some((input) => common(input.rows ?? [], withdrawnRanges).length);
}

// The parts of ranges that overlap other ranges.
function common(ranges, others) {
  return ranges.flatMap(([start, end]) =>
    others
      .map((other) => [Math.max(start, other[0]), Math.min(end, other[1])])
      .filter(([from, to]) => from < to),
  );
}

// The count of shards begins anew at the first row of every section.
function shardRange(number) {
  const { sections, per_shard: rows, count: all } = page.rows;
  const place = sections.findLastIndex(([, shard]) => shard <= number);
  const [first, shard] = sections[place];
  const start = first + (number - shard) * rows;
  return [start, Math.min(start + rows, sections[place + 1]?.[0] ?? all)];
}

function shardAt(row) {
  const { sections, per_shard: rows } = page.rows;
  if (!rows) return null;
  const [first, shard] = sections.findLast(([start]) => start <= row);
  return shard + Math.floor((row - first) / rows);
}
