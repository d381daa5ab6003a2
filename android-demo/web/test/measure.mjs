// Measures a bundle with the page's own speed screen in a real Chromium: node measure.mjs URL RUNS [CHROMIUM].
//
// Prints the page's measurement, and beside it the most memory that the page's process held, as Linux counts it.

import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const [address, runs, executablePath = "/usr/bin/chromium"] = process.argv.slice(2);
const WAIT = 600_000;
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-quic"] });
try {
  const page = await browser.newPage();
  page.setDefaultTimeout(WAIT);
  await page.goto(address);
  await page.waitForFunction(() => !document.getElementById("measure").disabled || document.querySelector(".note.warn"));
  const failed = await page.$(".note.warn");
  if (failed) throw new Error(await page.textContent("#result"));
  const runsBox = page.locator("#runs");
  await runsBox.evaluate((box, count) => box.add(new Option(count, count, true, true)), runs);
  await page.click("#speed-tab");
  await page.click("#measure");
  const [download] = await Promise.all([
    page.waitForEvent("download"),
    page.waitForSelector("#keep:not([hidden])").then(() => page.click("#save")),
  ]);
  const measurement = JSON.parse(readFileSync(await download.path(), "utf8"));
  console.log(JSON.stringify({ ...measurement, renderer_peak_mb: await peak() }));
} finally {
  await browser.close();
}

/** The largest VmHWM of the browser's page processes, in 10^6 bytes; null where the system does not say. */
async function peak() {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send("SystemInfo.getProcessInfo");
  const pages = processInfo.filter(({ type }) => type === "renderer");
  try {
    return Math.max(...pages.map(({ id }) => held(id)));
  } catch {
    return null;
  }
}

function held(process) {
  const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${process}/status`, "utf8"));
  return Math.round((Number(line[1]) * 1024) / 1e5) / 10;
}
