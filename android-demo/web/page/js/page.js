// The page: reads the bundle's description, starts the worker, and switches between its three screens.

import { AboutScreen } from "./aboutscreen.js";
import { Client } from "./client.js";
import { el, id } from "./dom.js";
import { readDescription } from "./files.js";
import { SpeedScreen } from "./speedscreen.js";
import { TextScreen, failureOf } from "./textscreen.js";
import { firstLanguage, say, speak } from "./words.js";

class Page {
  constructor() {
    Object.assign(this, { about: null, opened: null, client: null, ready: false, languageNames: {} });
    this.state = ["loading", { share: 0 }];
  }

  async start() {
    await this.speak(firstLanguage());
    id("waiting").remove();
    this.aboutScreen.fill();
    await this.open();
  }

  /** Read the bundle and open it; a failure is told on the screen, with a way to try again. */
  async open() {
    try {
      this.tell("loading", { share: 0 });
      this.client?.close();
      this.client = new Client();
      const names = fetch("languages.json");
      this.about = await readDescription();
      this.languageNames = await (await names).json();
      this.textScreen.fill(this.languageNames);
      this.textScreen.say("welcome");
      this.draw();
      const { manifest, config } = this.about;
      this.opened = await this.client.ask("open", { manifest, config }, (done, total) => this.loading(done, total));
      this.ready = true;
      this.tell("ready");
    } catch (failure) {
      this.tell("failed");
      this.textScreen.shown = () => this.textScreen.show(...failureOf(failure), this.again());
    }
    this.draw();
  }

  again() {
    const button = el("button", { type: "button", class: "main" }, say("try_again"));
    button.addEventListener("click", () => this.open());
    return button;
  }

  loading(done, total) {
    this.tell("loading", { share: Math.round((99 * done) / total) });
  }

  tell(name, values = {}) {
    this.state = [name, values];
    id("state").textContent = say(name, values);
  }

  async speak(code) {
    await speak(code);
    this.tell(...this.state);
    this.draw();
  }

  draw() {
    for (const screen of [this.textScreen, this.speedScreen, this.aboutScreen]) screen.draw();
  }
}

function open(name) {
  for (const screen of document.querySelectorAll("[data-screen]")) screen.hidden = screen.id !== `${name}-screen`;
  for (const tab of document.querySelectorAll("[data-tab]")) {
    if (tab.dataset.tab === name) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
}

for (const tab of document.querySelectorAll("[data-tab]")) tab.addEventListener("click", () => open(tab.dataset.tab));
const page = new Page();
page.textScreen = new TextScreen(page);
page.speedScreen = new SpeedScreen(page);
page.aboutScreen = new AboutScreen(page);
open("text");
page.start();
