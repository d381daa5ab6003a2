// A model card as elements: headings, paragraphs, lists and tables. What else Markdown knows stays as it is written.

import { cell, el, tableOf } from "./dom.js";

/** The elements of a text in Markdown; headings begin at h3. */
export function elementsOf(text) {
  return text
    .split(/\n{2,}/)
    .flatMap((part) => blocksOf(part.split("\n").filter((line) => line.trim())))
    .filter((element) => element);
}

/** A heading stands alone even where no empty line follows it. */
function blocksOf(lines) {
  if (!lines.length) return [];
  const heading = /^#+\s+(.*)$/.exec(lines[0]);
  if (heading) return [el("h3", {}, plain(heading[1])), ...blocksOf(lines.slice(1))];
  if (lines[0].startsWith("|")) return [tableIn(lines)];
  if (/^[-*] /.test(lines[0])) return [listOf(lines)];
  return [el("p", {}, plain(lines.join(" ")))];
}

function listOf(lines) {
  const items = [];
  for (const line of lines) {
    if (/^[-*] /.test(line)) items.push(line.slice(2));
    else items[items.length - 1] += ` ${line.trim()}`;
  }
  return el("ul", {}, ...items.map((item) => el("li", {}, plain(item))));
}

function tableIn(lines) {
  const rows = lines.filter((line) => !/^\|[\s:|-]+\|$/.test(line)).map((line) => line.split(/(?<!\\)\|/).slice(1, -1));
  const found = rows.map((row) => el("tr", {}, ...row.map((text) => cell(plain(text.trim().replace(/\\\|/g, "|"))))));
  return tableOf(found);
}

function plain(text) {
  return text.replace(/\*\*|`/g, "");
}
