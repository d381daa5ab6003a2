// Drives the page in an old Chromium: node old.mjs URL CHROMIUM. Prints one JSON document.
//
// Playwright's own clicks ask an element whether it is visible in a way that only newer browsers know, so mouse and
// keyboard are used as they are.

import { chromium } from "playwright-core";

const [address, executablePath] = process.argv.slice(2);
const WAIT = { timeout: 120_000 }; // it translates all of the engine at once, and takes both processors for it

const report = { errors: [], outside: [] };
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-quic"] });
report.browser = browser.version();
try {
  const context = await browser.newContext({ viewport: { width: 360, height: 640 }, locale: "en-US" });
  const page = await context.newPage();
  page.on("console", (message) => message.type() === "error" && report.errors.push(message.text()));
  page.on("pageerror", (error) => report.errors.push(String(error)));
  context.on("request", (request) => !request.url().startsWith(address) && report.outside.push(request.url()));
  await page.goto(address);
  await page.waitForFunction(() => !document.getElementById("go").disabled, null, WAIT);
  await tap(page, "#input");
  await page.keyboard.type("Rais Amina Juma alizuru Mombasa Jumatatu.");
  await tap(page, "#go");
  await page.waitForFunction(() => document.querySelector("mark, .found li"), null, WAIT);
  report.entities = await page.evaluate(() => [...document.querySelectorAll("mark")].map((mark) => mark.textContent));
  for (const name of ["speed", "about"]) {
    await tap(page, `#${name}-tab`);
    report[name] = (await page.evaluate((screen) => document.getElementById(screen).textContent, name)).slice(0, 80);
  }
} finally {
  await browser.close();
}
console.log(JSON.stringify(report));

async function tap(page, selector) {
  const [x, y] = await page.evaluate((name) => {
    const { left, top, width, height } = document.querySelector(name).getBoundingClientRect();
    return [left + width / 2, top + height / 2];
  }, selector);
  await page.mouse.click(x, y);
}
