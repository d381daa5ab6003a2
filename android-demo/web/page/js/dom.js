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

/** A table of two columns. */
export function table(rows, kind = "") {
  const lines = rows.map(([name, value]) => el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, value)));
  return el("table", { class: kind }, el("tbody", {}, ...lines));
}
