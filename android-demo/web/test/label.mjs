// Labels sentences as the page does: node label.mjs BUNDLE FILE. FILE holds a JSON list of words a line; prints a JSON
// list of tags a line.

import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { openFolder } from "./node-model.mjs";

const [bundle, file] = process.argv.slice(2);
const model = await openFolder(bundle);
for await (const line of createInterface({ input: createReadStream(file, "utf8"), crlfDelay: Infinity })) {
  const { tags } = await model.label(JSON.parse(line));
  process.stdout.write(`${JSON.stringify(tags)}\n`);
}
