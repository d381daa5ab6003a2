// The strings of the page in one language, and the choice of it. Kept on the device only after a tick.

/** The page's languages by the name of their file, as they call themselves. */
export const INTERFACES = { en: "English", sw: "Kiswahili", ha: "Hausa", fr: "Français", am: "አማርኛ" };
const KEPT = "edgeafri.language";

let strings = {};

/** The string of that name, its {places} filled in. A percent sign stays on the line of its number. */
export function say(name, values = {}) {
  const text = (strings[name] ?? name).replace(/ %/g, "\u00a0%");
  return text.replace(/\{(\w+)\}/g, (whole, key) => String(values[key] ?? whole));
}

/** The string where there is one; else what was given. */
export function sayOr(name, otherwise) {
  return strings[name] ?? otherwise;
}

/** Load a language and put its strings on the page: data-text, data-placeholder, data-aria. */
export async function speak(code) {
  strings = await (await fetch(`strings/${code}.json`)).json();
  document.documentElement.lang = code;
  for (const item of document.querySelectorAll("[data-text]")) item.textContent = say(item.dataset.text);
  for (const item of document.querySelectorAll("[data-placeholder]")) item.placeholder = say(item.dataset.placeholder);
  for (const item of document.querySelectorAll("[data-aria]")) item.setAttribute("aria-label", say(item.dataset.aria));
}

/** The language that was kept, else the device's, else English. */
export function firstLanguage() {
  const device = navigator.languages.map((name) => name.split("-")[0]);
  return [kept(), ...device].find((code) => code in INTERFACES) ?? "en";
}

/** The language that is kept on this device; null where none is. */
export function kept() {
  try {
    return localStorage.getItem(KEPT);
  } catch {
    return null;
  }
}

/** Keep the language, or forget it with null. */
export function keep(code) {
  try {
    if (code) localStorage.setItem(KEPT, code);
    else localStorage.removeItem(KEPT);
  } catch {
    // A browser that keeps nothing is what most users of this page want.
  }
}
