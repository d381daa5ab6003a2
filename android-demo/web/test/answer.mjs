// What the page says of texts: node answer.mjs BUNDLE FILE. FILE holds a JSON list of texts; prints a JSON list.

import { readFileSync } from "node:fs";
import { openFolder } from "./node-model.mjs";

const [bundle, file] = process.argv.slice(2);
const model = await openFolder(bundle);
const found = [];
for (const text of JSON.parse(readFileSync(file, "utf8"))) {
  const { entities, label, score, labels } = await model.answer(text);
  found.push(entities ?? { label, score, labels });
}
console.log(JSON.stringify(found));
