// Drives the page as the Android app shows it: node app.mjs URL FOLDER [CHROMIUM].
//
// As browser.mjs, but with the door to Android that only the app has: what the page wants to share is kept here.

import { mkdirSync } from "node:fs";
import { chromium } from "playwright-core";

const [address, folder, executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
const ORIGIN = new URL(address).origin;
const PHONE = { viewport: { width: 360, height: 740 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true };
const AGENT =
  "Mozilla/5.0 (Linux; Android 13; TECNO BG6 Build/TP1A.220624.014; wv) AppleWebKit/537.36 (KHTML, like Gecko) " +
  "Version/4.0 Chrome/120.0.0.0 Mobile Safari/537.36";
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"];
const SLOWER = 4;
const WAIT = 60_000;

const report = { console: [], outside: [], refused: [] };
mkdirSync(folder, { recursive: true });
const browser = await chromium.launch({ executablePath, args: FLAGS });
try {
  const context = await browser.newContext({ ...PHONE, userAgent: AGENT, locale: "en-US" });
  const page = await context.newPage();
  await (await context.newCDPSession(page)).send("Emulation.setCPUThrottlingRate", { rate: SLOWER });
  await page.addInitScript(() => (globalThis.EdgeAfriApp = { share: (text) => (globalThis.shared = text) }));
  listen(context, page);
  page.setDefaultTimeout(WAIT);
  await type(page);
  await measure(page);
} finally {
  await browser.close();
}
console.log(JSON.stringify(report));

function listen(context, page) {
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && report.console.push(message.text()));
  page.on("pageerror", (error) => report.console.push(String(error)));
  context.on("request", (request) => !request.url().startsWith(`${ORIGIN}/`) && report.outside.push(request.url()));
  context.on("response", (answer) => answer.status() !== 200 && report.refused.push(`${answer.status()} ${answer.url()}`));
}

/** A sentence typed in, and what is found in it. */
async function type(page) {
  const began = Date.now();
  await page.goto(address);
  await page.waitForFunction(() => !document.getElementById("go").disabled);
  report.ready_ms = Date.now() - began;
  await page.fill("#input", "Rais Amina Juma alizuru Mombasa Jumatatu.");
  await page.click("#go");
  await page.waitForSelector("mark, .found li");
  report.entities = await page.$$eval("mark", (marks) => marks.map((mark) => mark.textContent));
  await page.screenshot({ path: `${folder}/app-text.png` });
}

/** The benchmark, handed to another app. */
async function measure(page) {
  await page.click("#speed-tab");
  await page.selectOption("#runs", "10");
  await page.click("#measure");
  await page.click("#share");
  report.shared = JSON.parse(await page.evaluate(() => globalThis.shared));
  report.save_offered = await page.isVisible("#save");
  await page.screenshot({ path: `${folder}/app-speed.png` });
}
