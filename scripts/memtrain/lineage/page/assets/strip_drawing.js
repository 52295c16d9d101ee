// Draws the rows of splits on a canvas, in a time that does not grow with the number of shards.
"use strict";

const LINE_HEIGHT = 26;
const MIN_BORDER_DISTANCE = 4; // pixels; shard borders that would lie closer are not drawn

// Give a canvas the resolution of the screen, and return its context, which counts in CSS pixels.
function prepared(canvas, width, height) {
  const scale = window.devicePixelRatio || 1;
  canvas.width = Math.max(1, Math.round(width * scale));
  canvas.height = Math.max(1, Math.round(height * scale));
  canvas.style.height = `${height}px`;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  return context;
}

// The boxes [left, width] of ranges, in pixels: at least `least` wide, and merged where they touch.
function boxes(ranges, width, least = 1.5) {
  const scale = width / Math.max(1, page.rows.count);
  const found = [];
  for (const [start, end] of [...ranges].sort((one, other) => one[0] - other[0])) {
    const left = Math.min(start * scale, width - least);
    const right = Math.max(end * scale, left + least);
    const last = found.at(-1);
    if (last && left <= last[0] + last[1]) last[1] = Math.max(last[1], right - last[0]);
    else found.push([left, right - left]);
  }
  return found;
}

function drawShardBorders(context, width, top, height, colour) {
  const { shards, count: all } = page.rows;
  if (!shards || width / shards < MIN_BORDER_DISTANCE) return;
  context.fillStyle = colour.border;
  for (let number = 1; number < shards; number += 1) {
    context.fillRect(Math.round((shardRange(number)[0] * width) / all), top, 1, height);
  }
}

function fill(context, ranges, width, top, height, style) {
  context.fillStyle = style;
  for (const [left, wide] of boxes(ranges, width)) context.fillRect(left, top, wide, height);
}

// Stripes for withdrawn rows, which can be told by their pattern in any colour.
function hatching(context, colour) {
  const tile = document.createElement("canvas");
  const scale = window.devicePixelRatio || 1;
  tile.width = tile.height = Math.round(7 * scale);
  const drawing = tile.getContext("2d");
  drawing.strokeStyle = colour.hatch;
  drawing.lineWidth = 1.8 * scale;
  const size = tile.width;
  for (const offset of [-size, 0, size]) {
    drawing.beginPath();
    drawing.moveTo(offset - 1, size + 1);
    drawing.lineTo(offset + size + 1, -1);
    drawing.stroke();
  }
  const pattern = context.createPattern(tile, "repeat");
  pattern.setTransform(new DOMMatrix().scale(1 / scale));
  return pattern;
}

// Training rows are tall and evaluation rows low, so that they differ in more than their colour.
function drawLine(context, split, width, top, isFaded, colour) {
  context.globalAlpha = isFaded ? 0.25 : 1;
  fill(context, split.train, width, top + 5, 16, colour.train);
  fill(context, split.validate, width, top + 9, 8, colour.validate);
  fill(context, split.evaluate, width, top + 9, 8, colour.evaluate);
  const used = [
    [split.train, 5, 16],
    [split.validate, 9, 8],
    [split.evaluate, 9, 8],
  ];
  for (const [ranges, offset, height] of used) {
    fill(context, common(ranges, corruptRanges), width, top + offset, height, colour.corrupt);
    const withdrawn = common(ranges, withdrawnRanges);
    if (withdrawn.length) {
      fill(context, withdrawn, width, top + offset, height, colour.withdrawn);
      fill(context, withdrawn, width, top + offset, height, hatching(context, colour));
    }
  }
  context.globalAlpha = 1;
}

// Round row numbers for the axis, as many as there is room for.
function ticks(width) {
  const wanted = page.rows.count / Math.max(1, Math.floor(width / 90));
  const power = 10 ** Math.floor(Math.log10(Math.max(1, wanted)));
  const step = Math.max(1, [1, 2, 5, 10].find((one) => one * power >= wanted) * power);
  const found = [];
  for (let row = 0; row < page.rows.count; row += step) found.push(row);
  return found;
}

function drawAxis(context, width, height, colour, font) {
  const scale = width / Math.max(1, page.rows.count);
  context.font = `11px ${font}`;
  context.fillStyle = colour.muted;
  context.textBaseline = "top";
  let free = 0;
  for (const row of ticks(width)) {
    const text = count(row);
    const wide = context.measureText(text).width;
    const left = Math.min(Math.max(0, row * scale - (row ? wide / 2 : 0)), width - wide);
    if (left < free) continue;
    context.fillText(text, left, 1);
    context.fillRect(Math.round(row * scale), 15, 1, 4);
    free = left + wide + 8;
  }
  fill(context, [[0, page.rows.count]], width, height - 15, 10, colour.line);
  drawShardBorders(context, width, height - 15, 10, colour);
  fill(context, withdrawnRanges, width, height - 15, 10, colour.withdrawn);
  fill(context, withdrawnRanges, width, height - 15, 10, hatching(context, colour));
  fill(context, corruptRanges, width, height - 15, 10, colour.corrupt);
}
