// Small helpers to make elements; text is always set as text, never as HTML.

/** An element with attributes and children, strings among them. */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** The element of that id. */
export function id(name) {
  return document.getElementById(name);
}

/** A calm message; `kind` is "" or "warn". */
export function note(text, kind = "") {
  return el("p", { class: `note ${kind}` }, text);
}

/** A cell of a table; what no narrow column can hold, as a hash, may be broken anywhere. */
export function cell(text) {
  return el("td", isLong(text) ? { class: "long" } : {}, text);
}

/** Whether a text has a word too wide for a column beside another, in large letters on a small phone. */
export function isLong(text) {
  return /\S{16}/.test(text);
}

/** A table of two columns. */
export function table(rows, kind = "") {
  const lines = rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), cell(value)));
  return tableOf(lines, kind);
}

/** A table of lines, in a frame that scrolls where it is too wide. */
export function tableOf(lines, kind = "") {
  return el("div", { class: "wide" }, el("table", { class: kind }, el("tbody", {}, ...lines)));
}
