// The row strip: a line for every split, with the rows from left to right.
"use strict";

const AXIS_HEIGHT = 36;

const WHOLE_NAME = 24; // characters
const END_OF_NAME = 14;

// Long names lose their middle where there is no room, since they often differ at their ends alone.
function nameParts(name) {
  if (name.length <= WHOLE_NAME) return [name];
  return [
    element("span", { className: "start" }, name.slice(0, -END_OF_NAME)),
    element("span", {}, name.slice(-END_OF_NAME)),
  ];
}

class RowStrip {
  constructor(onSelect) {
    this.onSelect = onSelect;
    for (const name of [
      "strip",
      "axis",
      "lines",
      "bars",
      "bars-holder",
      "under-pointer",
      "only-highlighted",
    ]) {
      this[name] = document.getElementById(name);
    }
    this.selection = null;
    this.buttons = new Map(page.splits.map((split) => [split.name, this.lineOf(split)]));
    this.lines.append(...this.buttons.values());
    this.makeRoomForNames();
    const metrics = new Set(page.splits.map((split) => split.metric).filter(Boolean));
    this.strip.querySelector("#axis-line .metric").textContent = [...metrics].join(", ");
    if (page.rows.shards) {
      const most = page.rows.sections.length > 1 ? "up to " : "";
      const each = page.rows.shards > 1 ? ` of ${most}${count(page.rows.per_shard)} rows` : "";
      document.getElementById("shards").textContent =
        `in ${plural(page.rows.shards, "shard")}${each}`;
    }
    this["only-highlighted"].addEventListener("change", () => {
      this.strip.scrollTop = 0;
      this.filter();
    });
    this.lines.addEventListener("keydown", (event) => this.onKey(event));
    for (const canvas of [this.axis, this.bars]) {
      canvas.addEventListener("click", (event) => this.onClick(event));
      canvas.addEventListener("pointermove", (event) => this.describePointer(event));
      canvas.addEventListener("pointerleave", () => (this["under-pointer"].textContent = ""));
    }
    this.strip.addEventListener("scroll", () => this.drawBars());
    new ResizeObserver(() => this.draw()).observe(this.strip);
    this.filter();
  }

  lineOf(split) {
    const button = element("button", { type: "button", className: "split-line", tabIndex: -1 }, [
      element("span", { className: "name", title: split.name }, nameParts(split.name)),
      element("span", { className: "trained" }, count(rowsOf(split.train))),
      element("span", { className: `metric ${split.metric ? "" : "none"}` }, split.value ?? "-"),
    ]);
    button.addEventListener("click", () => this.onSelect(selectSplit(split.name)));
    return button;
  }

  // Let the column of names be as wide as the longest one; the style sheet sets the limits.
  makeRoomForNames() {
    const context = this.axis.getContext("2d");
    const { fontSize, fontFamily } = getComputedStyle(this.lines);
    context.font = `bold ${fontSize} ${fontFamily}`; // as that of the selected split
    const widths = page.splits.map((split) => context.measureText(split.name).width);
    this.strip.style.setProperty("--longest", `${Math.ceil(Math.max(0, ...widths))}px`);
  }

  // Show the lines of all splits, or only of those that the selection highlights.
  filter() {
    const isOnly = this["only-highlighted"].checked && this.selection;
    this.shown = page.splits.filter((one) => !isOnly || this.selection.splits.has(one.name));
    const names = new Set(this.shown.map((split) => split.name));
    for (const [name, button] of this.buttons) button.hidden = !names.has(name);
    const first = this.shown.find((one) => this.isSelected(one)) ?? this.shown[0];
    for (const [name, button] of this.buttons) button.tabIndex = name === first?.name ? 0 : -1;
    this.lines.style.height = `${this.shown.length * LINE_HEIGHT}px`;
    this.draw();
  }

  light(selection) {
    this.selection = selection;
    for (const split of page.splits) {
      const button = this.buttons.get(split.name);
      button.classList.toggle("faded", Boolean(selection) && !selection.splits.has(split.name));
      button.setAttribute("aria-pressed", String(this.isSelected(split)));
    }
    this.filter();
    const selected = page.splits.find((split) => this.isSelected(split));
    if (selected) this.buttons.get(selected.name).scrollIntoView({ block: "nearest" });
  }

  isSelected(split) {
    return this.selection?.kind === "split" && this.selection.name === split.name;
  }

  draw() {
    const colour = colours();
    const width = this.axis.clientWidth;
    const context = prepared(this.axis, width, AXIS_HEIGHT);
    drawAxis(context, width, AXIS_HEIGHT, colour, getComputedStyle(document.body).fontFamily);
    this.mark(context, width, AXIS_HEIGHT, colour);
    this.drawBars();
  }

  drawBars() {
    const colour = colours();
    const { clientWidth: width } = this.bars;
    const room = this.strip.clientHeight - AXIS_HEIGHT;
    const height = Math.max(1, Math.min(room, this.shown.length * LINE_HEIGHT));
    const context = prepared(this.bars, width, height);
    const scrolled = this.strip.scrollTop;
    drawShardBorders(context, width, 0, height, colour);
    this.mark(context, width, height, colour);
    const first = Math.floor(scrolled / LINE_HEIGHT);
    const last = Math.ceil((scrolled + height) / LINE_HEIGHT);
    for (const [place, split] of this.shown.slice(first, last).entries()) {
      const top = (first + place) * LINE_HEIGHT - scrolled;
      const isFaded = this.selection && !this.selection.splits.has(split.name);
      drawLine(context, split, width, top, isFaded, colour);
    }
  }

  // Mark the selected rows across all lines.
  mark(context, width, height, colour) {
    for (const [left, wide] of boxes(this.selection?.ranges ?? [], width, 3)) {
      context.fillStyle = colour.mark;
      context.fillRect(left, 0, wide, height);
      context.strokeStyle = colour.selected;
      context.strokeRect(left + 0.5, -1, Math.max(1, wide - 1), height + 2);
    }
  }

  // The row under the pointer, and the split unless the pointer is on the axis.
  underPointer(event) {
    const box = event.target.getBoundingClientRect();
    const share = (event.clientX - box.left) / box.width;
    const row = Math.min(page.rows.count - 1, Math.max(0, Math.floor(share * page.rows.count)));
    if (event.target === this.axis) return { row };
    const line = Math.floor((event.clientY - box.top + this.strip.scrollTop) / LINE_HEIGHT);
    return { row, split: this.shown[line] };
  }

  onClick(event) {
    const { row, split } = this.underPointer(event);
    const holds = (ranges) => common(ranges, [[row, row + 1]]).length > 0;
    if (split && [split.train, split.validate, split.evaluate].some(holds)) {
      this.onSelect(selectSplit(split.name));
    } else {
      const shard = shardAt(row);
      this.onSelect(shard === null ? selectRows([row, row + 1]) : selectShard(shard));
    }
  }

  describePointer(event) {
    const { row, split } = this.underPointer(event);
    const isIn = (ranges) => common(ranges, [[row, row + 1]]).length > 0;
    const shard = shardAt(row);
    const words = [`row ${count(row)}`];
    if (shard !== null) words.push(`shard ${count(shard)}`);
    if (split && isIn(split.train)) words.push(`${split.name}: trained on`);
    if (split && isIn(split.validate)) words.push(`${split.name}: validated on`);
    if (split && isIn(split.evaluate)) words.push(`${split.name}: evaluated on`);
    if (isIn(corruptRanges)) words.push("corrupt");
    if (isIn(withdrawnRanges)) words.push("withdrawn");
    this["under-pointer"].textContent = words.join(" · ");
  }

  onKey(event) {
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const now = this.shown.findIndex(
      (one) => this.buttons.get(one.name) === document.activeElement,
    );
    const next = this.shown[Math.min(this.shown.length - 1, Math.max(0, now + step))];
    for (const button of this.buttons.values()) button.tabIndex = -1;
    this.buttons.get(next.name).tabIndex = 0;
    this.buttons.get(next.name).focus();
  }
}
