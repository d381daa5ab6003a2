// The text screen: a text goes in, its entities or its label come out; and calm words where there is nothing to say.

import { el, id, note } from "./dom.js";
import { isStrange, scriptsOf } from "./scripts.js";
import { say, sayOr } from "./words.js";

const MOST = 20000; // characters; more is no sentence to try a model on

/** The screen over `page`: {client, about, ready}. `about` is what readDescription gave. */
export class TextScreen {
  constructor(page) {
    this.page = page;
    this.running = false;
    this.shown = null;
    this.next = 0;
    id("form").addEventListener("submit", (event) => this.submit(event));
    id("sample").addEventListener("click", () => this.example());
    id("language").addEventListener("change", () => {
      this.next = 0;
      id("input").lang = id("language").value;
    });
  }

  /** Fill what the bundle says: languages and the scripts that it knows. */
  fill(names) {
    const { config, golden } = this.page.about;
    const options = config.languages.map((code) => el("option", { value: code, lang: code }, names[code] ?? code));
    id("language").replaceChildren(...options);
    id("input").lang = id("language").value;
    this.known = scriptsOf(golden.map((item) => item.text));
  }

  /** Put the words on the screen again, in another language of the page or after a change. */
  draw() {
    const word = this.page.about?.config.task === "ner" ? "find" : "judge";
    id("go").textContent = say(this.running ? "stop" : word);
    id("go").disabled = !this.page.ready;
    id("result").setAttribute("aria-busy", String(this.running)); // a screen reader waits for the end
    if (this.shown) this.shown();
  }

  show(...elements) {
    id("result").replaceChildren(...elements);
    id("result").scrollTop = 0;
  }

  say(name, values = {}, kind = "") {
    this.shown = () => this.show(note(say(name, values), kind));
    this.shown();
  }

  example() {
    const code = id("language").value;
    const offered = this.page.about.golden.filter((item) => item.language === code);
    if (!offered.length) return this.say("no_example");
    id("input").value = offered[this.next % offered.length].text;
    this.next += 1;
    return this.page.ready && !this.running ? this.run() : undefined;
  }

  submit(event) {
    event.preventDefault();
    if (this.running) this.page.client.stop();
    else this.run();
  }

  async run() {
    const text = id("input").value;
    const count = Array.from(text).length;
    if (!text.trim()) return this.say("empty");
    if (count > MOST) return this.say("too_long", { count, most: MOST }, "warn");
    this.running = true;
    this.draw();
    id("input").blur(); // the keyboard would cover the result
    try {
      const answer = await this.page.client.ask("answer", { text }, (done, total) => this.progress(done, total));
      this.shown = () => this.answer(text, answer);
      this.shown();
    } catch (failure) {
      if (failure.code === "stopped") this.say("stopped");
      else this.failed(failure);
    } finally {
      this.running = false;
      this.draw();
    }
  }

  progress(done, total) {
    if (total < 3) return;
    const share = Math.round((100 * done) / total);
    this.show(note(say("working", { share })), el("progress", { max: total, value: done, "aria-label": say("working", { share }) }));
  }

  failed(failure) {
    this.shown = () => this.show(...failureOf(failure));
    this.shown();
  }

  answer(text, answer) {
    if (!answer.words) return this.show(note(say("no_words")));
    const warnings = this.warningsOf(text, answer);
    if (answer.entities) this.show(...warnings, ...entitiesOf(text, answer.entities));
    else this.show(...warnings, ...classOf(answer));
  }

  warningsOf(text, answer) {
    const found = [];
    if (isStrange(text, this.known)) found.push(note(say("unknown_script"), "warn"));
    else if (answer.unknown > 0.5) found.push(note(say("unknown_words"), "warn"));
    if (answer.cut) found.push(note(say("only_beginning", { count: this.page.about.config.max_tokens }), "warn"));
    return found;
  }
}

/** What is said of a failure, and what the engine said of it for who looks closer. */
export function failureOf({ code, message }) {
  const words = say(sayOr(`error_${code}`, "") ? `error_${code}` : "error_other");
  const more = el("details", {}, el("summary", {}, say("details")), el("pre", {}, `${code}: ${message}`));
  return [note(words, "warn"), more];
}

function entitiesOf(text, entities) {
  if (!entities.length) return [note(say("nothing_found")), el("p", { class: "marked" }, text)];
  const heading = el("h2", {}, say("found", { count: entities.length }));
  return [marked(text, entities), heading, el("ul", { class: "found" }, ...entities.map(line))];
}

function marked(text, entities) {
  const letters = Array.from(text);
  const parts = [];
  let place = 0;
  for (const { label, start, end } of entities) {
    parts.push(letters.slice(place, start).join(""));
    parts.push(el("mark", { "data-label": label }, letters.slice(start, end).join(""), el("b", {}, labelName(label))));
    place = end;
  }
  return el("p", { class: "marked" }, ...parts, letters.slice(place).join(""));
}

function line({ label, text, start, end, score }) {
  const place = say("place", { start, end, share: Math.round(100 * score) });
  return el(
    "li",
    {},
    el("span", { class: "label" }, labelName(label)),
    el("span", {}, text),
    el("span", { class: "place" }, place),
  );
}

function classOf({ label, score, labels }) {
  const rows = Object.entries(labels)
    .sort((one, other) => other[1] - one[1])
    .map(([name, share]) => {
      const percent = `${Math.round(100 * share)} %`;
      const bar = el("meter", { value: share, "aria-label": `${labelName(name)} ${percent}` });
      return el("li", {}, el("span", { class: "label" }, labelName(name)), el("span", {}, percent), el("span", { class: "place" }, bar));
    });
  const first = el("h2", {}, `${labelName(label)}: ${Math.round(100 * score)} %`);
  return [first, el("h2", { class: "quiet" }, say("all_labels")), el("ul", { class: "found" }, ...rows)];
}

/** A label in words where the page has them, else as the model calls it. */
function labelName(label) {
  return sayOr(`label_${label}`, label);
}
