// The speed screen: times the model on this device and hands out the measurement as JSON.

import { benchLength } from "./bench.js";
import { device } from "./device.js";
import { el, id, note, table } from "./dom.js";
import { failureOf } from "./textscreen.js";
import { say } from "./words.js";

/** The screen over `page`: {client, about, opened, ready}. */
export class SpeedScreen {
  constructor(page) {
    this.page = page;
    this.running = false;
    this.result = null;
    this.shown = () => this.intro();
    id("measure").addEventListener("click", () => this.run());
    id("copy").addEventListener("click", () => this.copy());
    id("save").addEventListener("click", () => this.save());
    id("share").addEventListener("click", () => this.share());
  }

  draw() {
    id("measure").disabled = !this.page.ready || this.running;
    id("speed").setAttribute("aria-busy", String(this.running));
    id("keep").hidden = !this.result;
    id("share").hidden = !navigator.share && !globalThis.EdgeAfriApp;
    id("save").hidden = Boolean(globalThis.EdgeAfriApp); // a WebView saves nothing by itself; the app shares
    this.shown();
  }

  show(...elements) {
    id("speed").replaceChildren(...elements);
  }

  intro() {
    const { about } = this.page;
    this.show(el("p", {}, say("speed_intro", { count: about ? benchLength(about.config) : 128 })));
  }

  async run() {
    const { about, opened, client } = this.page;
    this.running = true;
    this.result = null;
    this.draw();
    try {
      const known = await device();
      const named = {
        bundle_id: about.manifest.id,
        device: known.name,
        runtime: opened.runtime,
        threads: opened.threads,
        load_ms: opened.load_ms,
        work: numbersOf(about.manifest.facts),
        conditions: { ...known.conditions, load_files_ms: Math.round(opened.files_ms) },
      };
      const request = { runs: Number(id("runs").value), named, golden: about.golden };
      this.result = await client.ask("measure", request, (done, total) => this.progress(done, total));
      this.shown = () => this.figures();
    } catch (failure) {
      this.shown = () => this.show(...failureOf(failure));
    } finally {
      this.running = false;
      this.draw();
    }
  }

  progress(done, total) {
    const share = Math.round((100 * done) / total);
    this.show(note(say("measuring", { share })), el("progress", { max: total, value: done, "aria-label": say("measuring", { share }) }));
  }

  figures(...more) {
    const { load_ms, p50_ms, p95_ms, tokens_per_s, device: name, conditions } = this.result;
    const memory = conditions.wasm_memory_mb;
    const { golden, golden_equal: equal } = conditions;
    const rows = [
      [say("p50_ms"), `${p50_ms.toFixed(1)} ms`],
      [say("p95_ms"), `${p95_ms.toFixed(1)} ms`],
      [say("tokens_per_s"), String(Math.round(tokens_per_s))],
      [say("load_ms"), `${Math.round(load_ms)} ms`],
      [say("memory"), memory === null ? say("not_known") : `${memory} MB`],
      [say("golden"), say("golden_of", { count: equal, total: golden })],
    ];
    const machine = [
      [say("device"), name],
      [say("browser"), conditions.browser],
    ];
    this.show(...more, table(rows, "numbers"), table(machine));
  }

  get json() {
    return `${JSON.stringify(this.result, null, 1)}\n`;
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.json);
      this.figures(note(say("copied")));
    } catch {
      this.figures(note(say("not_copied")), el("pre", { tabindex: "0" }, this.json));
    }
  }

  save() {
    const link = el("a", { download: `edgeafri-${this.result.bundle_id}.json` });
    link.href = URL.createObjectURL(new Blob([this.json], { type: "application/json" }));
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  async share() {
    if (globalThis.EdgeAfriApp) {
      globalThis.EdgeAfriApp.share(this.json);
      return;
    }
    try {
      await navigator.share({ title: "EdgeAfri", text: this.json });
    } catch {
      // The user closed the dialogue.
    }
  }
}

/** The numbers of a manifest, which an estimate is made from. */
function numbersOf(facts) {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => typeof value === "number"));
}
