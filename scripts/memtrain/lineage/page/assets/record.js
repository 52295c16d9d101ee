// The record of the selection. Everything is shown as text, never as HTML.
"use strict";

const MAX_LISTED = 100;

const HELP = [
  "Click on anything to see its record here, and to highlight everything upstream and downstream " +
    "of it. If there are many splits, they share one card for each job. Search for a split, or " +
    "click on its rows, to show cards of its own.",
  "Keys: / searches, arrow keys move in the graph and between the splits, Escape clears the " +
    "selection.",
];

const NEVER_VERIFIED =
  "The files were never compared with the records. `python scripts/lineage.py page OUT.html " +
  "--verify` compares every file and every shard.";

function element(name, properties, content = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...[content].flat().filter((part) => part !== null && part !== ""));
  return made;
}

class RecordPanel {
  constructor(container, onSelect) {
    this.container = container;
    this.onSelect = onSelect;
  }

  show(selection) {
    const kind = selection ? selection.kind : "overview";
    this.container.replaceChildren(...this[kind](selection ?? {}).filter(Boolean));
    this.container.scrollTop = 0;
  }

  overview() {
    const all = {
      splits: count(page.splits.length),
      rows: count(page.rows.count),
      shards: page.rows.shards ? count(page.rows.shards) : null,
      "runs shown": count(runs.length),
      "files shown": count(files.length),
    };
    return [
      this.heading("dataset", page.dataset),
      facts(all),
      section("Comparison with the records", [this.verification()]),
      this.withdrawals(page.withdrawn),
      section(
        "How to use this page",
        HELP.map((text) => element("p", {}, text)),
      ),
    ];
  }

  verification() {
    if (!page.verification) return element("p", {}, NEVER_VERIFIED);
    const { at, checked } = page.verification;
    const found = findings.length ? `${plural(findings.length, "finding")}:` : "nothing is wrong.";
    const when = `${plural(checked, "file")}, byte by byte, on ${timeText(at)}`;
    const lines = [element("p", {}, `${when}: ${found}`)];
    for (const one of findings.slice(0, MAX_LISTED)) {
      lines.push(warning(`${one.kind}: ${one.message}`));
    }
    return element("div", {}, lines);
  }

  withdrawals(all) {
    if (!all.length) return null;
    const lines = all
      .slice(0, MAX_LISTED)
      .map((one) =>
        element("li", {}, [
          this.link(`rows ${rangeText(one.rows)}`, () => selectRows(one.rows)),
          ` ${one.reason} (${timeText(one.at)})`,
        ]),
      );
    return section("Withdrawn", [element("ul", {}, lines)]);
  }

  run({ node, upstream, downstream }) {
    const run = contentOf(node);
    const environment = shared.environment[run.environment];
    return [
      this.heading("run", runName(run), run.state),
      run.message && warning(run.message),
      facts({
        started: timeText(run.started_at),
        ended: run.ended_at ? timeText(run.ended_at) : "not yet",
        took: run.effort.seconds === undefined ? null : `${count(run.effort.seconds)} s`,
        "peak memory": run.effort.peak_memory_bytes
          ? bytesText(run.effort.peak_memory_bytes)
          : null,
        why: run.reason,
        "run id": run.run_id,
      }),
      this.reached(upstream, downstream),
      section("Read", [this.inputs(run)]),
      section("Wrote", [this.list(targets.get(node))]),
      section("Measured", [facts(flat(run.details))], true),
      section("Settings", [facts(run.parameters)], true),
      section("Code", shared.code[run.code].map(codeOf), true),
      section("Machine", [facts(this.machine(run))], true),
      section("Packages", [facts(environment.packages ?? {})], true, false),
    ];
  }

  machine(run) {
    const machine = shared.machine[run.machine];
    const environment = shared.environment[run.environment];
    return {
      host: machine.host,
      processor: machine.processor,
      cores: machine.cores,
      memory: machine.memory_bytes ? bytesText(machine.memory_bytes) : null,
      GPUs: (machine.gpus ?? []).join(", ") || null,
      system: machine.system,
      "Slurm job": machine.slurm_job,
      Python: environment.python,
      ...environment.variables,
    };
  }

  inputs(run) {
    return shortened(run.inputs, (input) => this.input(input));
  }

  input(input) {
    const words = [this.link(shortPath(files[input.file]), () => selectNode(fileNode(input.file)))];
    if (input.rows) words.push(` rows ${listed(input.rows.map(rangeText), 4)}`);
    if (input.earlier) {
      words.push(element("em", { title: input.earlier }, " an earlier version, overwritten since"));
    }
    return element("li", {}, words);
  }

  file({ node, upstream, downstream }) {
    const file = contentOf(node);
    const readers = targets.get(node);
    const run = file.run === null ? null : runs[file.run];
    const made = run && {
      "written by": this.link(runName(run), () => selectNode(runNode(file.run))),
      "run id": run.run_id,
      at: timeText(run.ended_at ?? run.started_at),
      "code commit": shared.code[run.code].map(commitOf).join(", "),
      machine: shared.machine[run.machine].host,
    };
    return [
      this.heading(file.role, shortPath(file)),
      usesWithdrawnRows(file)
        ? warning("withdrawn: this model was trained on rows that were withdrawn since")
        : null,
      ...findingsOn(file.path).map((one) => warning(`${one.kind}: ${one.message}`)),
      facts({
        path: file.path,
        digest: file.digest ?? "none; its shards have digests",
        size: file.size === null ? null : bytesText(file.size),
        ...(made ?? { "written by": "no recorded run" }),
      }),
      this.reached(upstream, downstream),
      run && section("Made from", [this.inputs(run)]),
      readers.length ? section("Read by", [this.list(readers)]) : null,
      run && section("Settings", [facts(run.parameters)], true),
    ];
  }

  group({ title, self, upstream, downstream }) {
    return [
      this.heading("group", title),
      this.reached(upstream, downstream),
      section("Members", [this.list([...self])]),
    ];
  }

  split({ name, self, upstream, downstream }) {
    const split = page.splits.find((one) => one.name === name);
    const used = [...split.train, ...split.validate, ...split.evaluate];
    const corrupt = common(used, corruptRanges);
    return [
      this.heading("split", name),
      corrupt.length ? warning(`corrupt rows: ${listed(corrupt.map(rangeText), 4)}`) : null,
      ...page.withdrawn
        .filter((one) => common(used, [one.rows]).length)
        .map((one) => warning(`withdrawn rows ${rangeText(one.rows)}: ${one.reason}`)),
      facts({
        "trained on": listed(split.train.map(rangeText), 6) || "no recipe yet",
        "validated on": listed(split.validate.map(rangeText), 6),
        "evaluated on": listed(split.evaluate.map(rangeText), 6),
        ...split.facts,
      }),
      this.reached(upstream, downstream),
      section("Runs", [this.list([...self].filter(isRun))]),
      section("Files", [this.list([...self].filter((node) => !isRun(node)))]),
    ];
  }

  rows({ shard, ranges: [range], splits, upstream, downstream }) {
    const users = (use) => page.splits.filter((one) => common(one[use], [range]).length);
    const isCorrupt = common([range], corruptRanges).length > 0;
    const withdrawn = page.withdrawn.filter((one) => common([one.rows], [range]).length);
    const number = shard ?? (range[1] - range[0] === 1 ? shardAt(range[0]) : null);
    return [
      this.heading(
        "rows",
        shard === undefined ? `rows ${rangeText(range)}` : `shard ${count(shard)}`,
      ),
      isCorrupt ? warning("corrupt: the bytes are not those that were indexed") : null,
      facts({
        rows: rangeText(range),
        shard: number,
        digest: number === null ? null : page.rows.digests[number],
        "splits that use these rows": `${count(splits.size)} of ${count(page.splits.length)}`,
      }),
      this.withdrawals(withdrawn),
      this.reached(upstream, downstream),
      section("Trained on these rows", [this.names(users("train"))]),
      section("Validated on these rows", [this.names(users("validate"))]),
      section("Evaluated on these rows", [this.names(users("evaluate"))]),
    ];
  }

  names(splits) {
    if (!splits.length) return element("p", {}, "no split");
    return shortened(splits, (one) =>
      element("li", {}, [this.link(one.name, () => selectSplit(one.name))]),
    );
  }

  reached(upstream, downstream) {
    if (!runs.length) return null;
    const words = (set) => {
      const runCount = [...set].filter(isRun).length;
      return `${plural(runCount, "run")}, ${plural(set.size - runCount, "file")}`;
    };
    return facts({ upstream: words(upstream), downstream: words(downstream) }, "reached");
  }

  list(nodes) {
    return shortened(nodes, (node) => this.item(node));
  }

  item(node) {
    return element("li", {}, [this.link(nodeName(node), () => selectNode(node))]);
  }

  link(text, selectionOf) {
    const button = element("button", { type: "button", className: "link" }, text);
    button.addEventListener("click", () => this.onSelect(selectionOf()));
    return button;
  }

  heading(kind, name, state) {
    return element("div", { className: "heading" }, [
      element("p", { className: "kind" }, state ? `${kind} · ${state}` : kind),
      element("h2", {}, name),
    ]);
  }
}
