// The search box, which finds splits, runs, files, digests, rows and shards.
"use strict";

const MAX_RESULTS = 12;

class Search {
  constructor(onSelect) {
    this.onSelect = onSelect;
    this.text = document.getElementById("search-text");
    this.list = document.getElementById("search-found");
    this.text.addEventListener("input", () => this.find());
    this.text.addEventListener("focus", () => this.find());
    this.text.addEventListener("blur", () => this.close());
    this.text.addEventListener("keydown", (event) => this.onKey(event));
    // Keep the focus in the box while a result is clicked.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
  }

  find() {
    this.found = search(this.text.value);
    this.active = 0;
    const items = this.found.map((one, place) => {
      const item = element("li", { id: `found-${place}` }, [
        element("span", { className: "kind" }, one.kind),
        element("span", { className: "what" }, one.name),
      ]);
      item.setAttribute("role", "option");
      item.addEventListener("click", () => this.take(place));
      return item;
    });
    if (this.text.value.trim() && !items.length) {
      items.push(element("li", { className: "nothing" }, "nothing found"));
    }
    this.list.replaceChildren(...items);
    this.list.hidden = !items.length;
    this.text.setAttribute("aria-expanded", String(!this.list.hidden));
    this.mark();
  }

  mark() {
    for (const [place, item] of [...this.list.children].entries()) {
      item.setAttribute("aria-selected", String(place === this.active));
    }
    const item = this.list.children[this.active];
    item?.scrollIntoView({ block: "nearest" });
    this.text.setAttribute("aria-activedescendant", item?.id ?? "");
  }

  take(place) {
    const one = this.found[place];
    if (!one) return;
    this.close();
    this.onSelect(one.selection());
  }

  close() {
    this.list.hidden = true;
    this.text.setAttribute("aria-expanded", "false");
  }

  onKey(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.found?.length) {
      event.preventDefault();
      this.active = (this.active + step + this.found.length) % this.found.length;
      this.mark();
    } else if (event.key === "Enter") {
      this.take(this.active);
    } else if (event.key === "Escape" && !this.list.hidden) {
      event.stopPropagation();
      this.close();
    }
  }
}

// The things that a text may mean, the best match first.
function search(text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  return [...rowsMeant(wanted), ...namesLike(wanted)].slice(0, MAX_RESULTS);
}

function* rowsMeant(wanted) {
  const shard = /^(?:shard\s*)?(\d+)$/.exec(wanted);
  if (shard && Number(shard[1]) < page.rows.shards) {
    const number = Number(shard[1]);
    const name = `${count(number)}: rows ${rangeText(shardRange(number))}`;
    yield { kind: "shard", name, selection: () => selectShard(number) };
  }
  const rows = /^(?:rows?\s*)?\[?(\d+)(?:\s*[:,-]\s*(\d+))?\)?$/.exec(wanted);
  if (rows && Number(rows[1]) < page.rows.count) {
    const start = Number(rows[1]);
    const range = [start, Math.min(page.rows.count, rows[2] ? Number(rows[2]) : start + 1)];
    if (range[0] < range[1]) {
      yield { kind: "rows", name: rangeText(range), selection: () => selectRows(range) };
    }
  }
}

function namesLike(wanted) {
  const found = [];
  const add = (kind, name, text, selection) => {
    const at = text.toLowerCase().indexOf(wanted);
    if (at >= 0) found.push({ kind, name, selection, rank: [at > 0, text.length] });
  };
  for (const name of splitNames) add("split", name, name, () => selectSplit(name));
  const digest = wanted.replace(/^(sha256|blake3):/, "");
  const isDigest = /^[0-9a-f]{6,}$/.test(digest);
  for (const node of sources.keys()) {
    const one = contentOf(node);
    if (isRun(node)) {
      add("run", runName(one), runName(one).replace(" · ", "/"), () => selectNode(node));
      if (one.run_id === wanted) add("run", runName(one), wanted, () => selectNode(node));
    } else {
      add("file", one.path, one.path, () => selectNode(node));
      if (isDigest && (one.digest ?? "").includes(`:${digest}`)) {
        add("digest", one.path, wanted, () => selectNode(node));
      }
    }
  }
  if (isDigest) {
    page.rows.digests.forEach((one, number) => {
      if (one.includes(`:${digest}`))
        add("shard", count(number), wanted, () => selectShard(number));
    });
  }
  const kinds = ["split", "digest", "shard", "run", "file"];
  return found.sort(
    (one, other) =>
      one.rank[0] - other.rank[0] ||
      kinds.indexOf(one.kind) - kinds.indexOf(other.kind) ||
      one.rank[1] - other.rank[1],
  );
}
