// The parts that records are built from.
"use strict";

function listed(words, limit) {
  const rest = words.length - limit;
  return words.slice(0, limit).join(", ") + (rest > 0 ? ` and ${count(rest)} more` : "");
}

function warning(text) {
  return element("p", { className: "warning" }, text);
}

// A table of names and values, without the values that are not known.
function facts(content, className = "") {
  const lines = Object.entries(content)
    .filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => [
      element("dt", {}, name),
      element("dd", {}, value instanceof Node ? value : textOf(value)),
    ]);
  return lines.length ? element("dl", { className }, lines.flat()) : null;
}

function textOf(value) {
  if (typeof value === "number") return Number.isInteger(value) ? count(value) : String(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function section(title, content, canFold = false, isOpen = true) {
  const parts = content.filter(Boolean);
  if (!parts.length) return null;
  if (!canFold) return element("section", {}, [element("h3", {}, title), ...parts]);
  const made = element("details", { open: isOpen }, [element("summary", {}, title), ...parts]);
  return made;
}

function shortened(all, itemOf) {
  const items = all.slice(0, MAX_LISTED).map(itemOf);
  const rest = all.length - items.length;
  if (rest > 0) items.push(element("li", {}, `and ${count(rest)} more`));
  return element("ul", { className: "files" }, items);
}

// Nested mappings as one mapping with dotted names.
function flat(content, prefix = "") {
  return Object.entries(content).reduce((found, [name, value]) => {
    const isMapping = value && typeof value === "object" && !Array.isArray(value);
    return {
      ...found,
      ...(isMapping ? flat(value, `${prefix}${name}.`) : { [prefix + name]: value }),
    };
  }, {});
}

function commitOf(root) {
  if (!root.commit) return "no git";
  return `${root.commit.slice(0, 12)}${root.is_clean ? "" : " with changes"}`;
}

function codeOf(root) {
  const names = Object.keys(root.files);
  return element("div", {}, [
    facts({ [root.root]: `commit ${commitOf(root)}` }),
    element("details", {}, [
      element("summary", {}, plural(names.length, "file")),
      facts(root.files),
    ]),
  ]);
}
