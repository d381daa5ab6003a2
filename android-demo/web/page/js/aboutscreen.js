// The about screen: which model this is, its card, what the page keeps, licences, and the language of the page.

import { el, id, table } from "./dom.js";
import { elementsOf } from "./markdown.js";
import { INTERFACES, keep, kept, say, sayOr } from "./words.js";

const LICENCES = [
  ["EdgeAfri, Apache-2.0", "licences/edgeafri.txt"],
  ["onnxruntime-web, MIT", "licences/onnxruntime-web.txt"],
  ["@huggingface/tokenizers, Apache-2.0", "vendor/tokenizers.LICENSE.txt"],
];

export class AboutScreen {
  constructor(page) {
    this.page = page;
    id("interface").addEventListener("change", async () => {
      if (id("remember").checked) keep(id("interface").value);
      await page.speak(id("interface").value);
    });
    id("remember").addEventListener("change", () => keep(id("remember").checked ? id("interface").value : null));
    id("remember").checked = kept() !== null;
  }

  fill() {
    const options = Object.entries(INTERFACES).map(([code, name]) => el("option", { value: code, lang: code }, name));
    id("interface").replaceChildren(...options);
    id("interface").value = document.documentElement.lang;
  }

  draw() {
    const { about, languageNames } = this.page;
    const privacy = [el("h2", {}, say("privacy")), el("p", {}, say("privacy_text"))];
    if (!about) return id("about").replaceChildren(...privacy, ...licences());
    const { manifest, config, card } = about;
    const bytes = Object.values(manifest.files).reduce((sum, entry) => sum + entry.bytes, 0);
    const rows = [
      [say("task"), sayOr(`task_${config.task}`, config.task)],
      [say("languages"), config.languages.map((code) => languageNames[code] ?? code).join(", ")],
      [say("size"), `${(bytes / 1e6).toFixed(1)} MB`],
      [say("identity"), manifest.id],
    ];
    const sample = config.sample ? [el("p", { class: "note warn" }, say("sample_model"))] : [];
    const whole = el("details", {}, el("summary", {}, say("card")), el("div", { lang: "en" }, ...elementsOf(card)));
    return id("about").replaceChildren(el("h2", {}, say("model")), ...sample, table(rows), whole, ...privacy, ...licences());
  }
}

function licences() {
  return [el("h2", {}, say("licences")), ...LICENCES.map(([name, path]) => licence(name, path))];
}

/** Fetched when it is opened: they are long. */
function licence(name, path) {
  const text = el("pre", { lang: "en" });
  const details = el("details", {}, el("summary", {}, name), text);
  details.addEventListener("toggle", async () => {
    if (details.open && !text.textContent) text.textContent = await (await fetch(path)).text();
  });
  return details;
}
