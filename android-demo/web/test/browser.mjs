// Drives the page in a real Chromium as a person would: node browser.mjs URL FOLDER [CHROMIUM].
//
// A phone's viewport, its processor four times slower. Screenshots go to FOLDER, one JSON document to stdout: what was
// seen, errors on the console, and requests that left the page's origin.

import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";

const [address, folder, executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
const PHONE = { viewport: { width: 360, height: 640 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const AGENT =
  "Mozilla/5.0 (Linux; Android 13; TECNO BF7 Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) " +
  "Version/4.0 Chrome/120.0.0.0 Mobile Safari/537.36";
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const SLOWER = 4;
const WAIT = 60_000;

const report = { console: [], outside: [], seen: {} };
mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({ executablePath, args: FLAGS });
report.browser = browser.version();
try {
  const page = await phone({ locale: "en-US" });
  await first(page);
  await strange(page);
  if (report.seen.entities) await stopped(page);
  await speed(page);
  await about(page);
  await stay(page);
  await languages();
  await dark();
} finally {
  await browser.close();
}
console.log(JSON.stringify(report));

/** A new phone: nothing kept, everything noted. */
async function phone(options) {
  const context = await browser.newContext({ ...PHONE, userAgent: AGENT, ...options });
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Emulation.setCPUThrottlingRate", { rate: SLOWER });
  page.setDefaultTimeout(WAIT);
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && report.console.push(message.text()));
  page.on("pageerror", (error) => report.console.push(String(error)));
  context.on("request", (request) => !inside(request.url()) && report.outside.push(request.url()));
  return page;
}

function inside(url) {
  return url.startsWith(address) || url.startsWith("data:") || url.startsWith(`blob:${new URL(address).origin}`);
}

async function shot(page, name) {
  await page.screenshot({ path: `${folder}/${name}.png` });
}

/** From a cold start to the first entity. */
async function first(page) {
  const began = Date.now();
  await page.goto(address);
  await page.waitForFunction(() => document.getElementById("language").options.length > 0);
  await shot(page, "1-start");
  await page.waitForFunction(() => !document.getElementById("go").disabled);
  report.seen.ready_ms = Date.now() - began;
  await page.click("#sample");
  await page.waitForSelector("mark, .found li");
  report.seen.first_entity_ms = Date.now() - began;
  const marks = await page.$$eval("mark", (all) => all.map((mark) => mark.textContent));
  report.seen.entities = marks.length ? marks : null;
  report.seen.overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  await shot(page, "2-entities");
}

/** Text that nothing can be said of gets calm words. */
async function strange(page) {
  const texts = {
    empty: "   ",
    signs: "... !!! 🙂",
    script: "我昨天在北京见到了老师和他的朋友。",
    pieces: "12 😀 😃 😄",
    long: "Rais alizuru Mombasa. ".repeat(1000),
    plain: "zzz",
    html: "<img src=x onerror=alert(1)> alizuru Mombasa",
  };
  report.seen.said = {};
  for (const [name, text] of Object.entries(texts)) report.seen.said[name] = await said(page, text);
  await shot(page, "3-html");
  await said(page, texts.script);
  await shot(page, "3-script");
}

/** What the page says of a text, when it has said all. */
async function said(page, text) {
  await page.$eval("#result", (result) => result.replaceChildren());
  await page.fill("#input", text);
  await page.click("#go");
  await page.waitForFunction(() => document.querySelector("#result").textContent && !document.querySelector("progress"));
  return page.textContent("#result");
}

/** A long text can be left, and the page answers while it is read. */
async function stopped(page) {
  await page.fill("#input", "Rais Samia alizuru Mombasa. ".repeat(700));
  await page.click("#go");
  await page.waitForSelector("progress");
  await shot(page, "4-reading");
  const began = Date.now();
  await page.click("#about-tab");
  report.seen.answers_while_reading_ms = Date.now() - began;
  await page.click("#text-tab");
  await page.click("#go");
  await page.waitForFunction(() => !document.querySelector("progress"));
  report.seen.stopped = (await page.textContent("#result")).slice(0, 80);
}

async function speed(page) {
  await page.click("#speed-tab");
  await shot(page, "5-speed");
  await page.selectOption("#runs", "10");
  await page.click("#measure");
  await page.waitForSelector("#keep:not([hidden])");
  await shot(page, "6-measured");
  const [download] = await Promise.all([page.waitForEvent("download"), page.click("#save")]);
  const stream = await download.createReadStream();
  const parts = [];
  for await (const part of stream) parts.push(part);
  report.measurement = JSON.parse(Buffer.concat(parts).toString("utf8"));
}

async function about(page) {
  await page.click("#about-tab");
  await shot(page, "7-about");
  for (const details of await page.$$("#about details summary")) await details.click();
  await page.waitForFunction(() => [...document.querySelectorAll("#about pre")].every((item) => item.textContent));
  report.seen.licences = await page.$$eval("#about pre", (items) => items.map((item) => item.textContent.slice(0, 60)));
  await page.$eval("#about", (item) => item.scrollTo(0, 350));
  await shot(page, "8-card");
}

/** Nothing is kept; the language of the page is, after a tick and until it is taken away. */
async function stay(page) {
  const kept = () => page.evaluate(() => Object.entries(localStorage));
  report.seen.kept_before = await kept();
  await page.selectOption("#interface", "ha");
  report.seen.kept_without_tick = await kept();
  await page.check("#remember");
  report.seen.kept_with_tick = await kept();
  await page.reload();
  await page.waitForFunction(() => document.documentElement.lang === "ha");
  await page.click("#about-tab");
  await page.uncheck("#remember");
  report.seen.kept_after = await kept();
}

async function languages() {
  for (const [code, sample] of [["am", "amh"], ["sw", "swa"], ["fr", "yor"], ["ha", "hau"]]) {
    const page = await phone({ locale: code });
    await page.goto(address);
    await page.waitForFunction(() => !document.getElementById("go").disabled);
    const offered = await page.$$eval("#language option", (options) => options.map((option) => option.value));
    if (offered.includes(sample)) await page.selectOption("#language", sample);
    await page.click("#sample");
    await page.waitForSelector("mark, .found li, .note");
    await page.waitForTimeout(500);
    await shot(page, `9-${code}-text`);
    await page.click("#speed-tab");
    await shot(page, `9-${code}-speed`);
    await page.click("#about-tab");
    await shot(page, `9-${code}-about`);
    report.seen[`overflow_${code}`] = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    await page.context().close();
  }
}

async function dark() {
  const page = await phone({ locale: "en-US", colorScheme: "dark" });
  await page.goto(address);
  await page.waitForFunction(() => !document.getElementById("go").disabled);
  await page.click("#sample");
  await page.waitForSelector("mark, .found li");
  await shot(page, "10-dark");
  // Large letters, as many older people set them.
  await page.evaluate(() => (document.documentElement.style.fontSize = "24px"));
  await shot(page, "11-large");
  report.seen.overflow_large = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  await page.click("#about-tab");
  await page.click("#about details summary");
  report.seen.overflow_card = await page.$eval("#about", (screen) => screen.scrollWidth - screen.clientWidth);
}
