// Unpacks a file in Brotli, which Python cannot without a package: node unbrotli.mjs SOURCE TARGET. TARGET can be run.

import { readFileSync, writeFileSync } from "node:fs";
import { brotliDecompressSync } from "node:zlib";

const [source, target] = process.argv.slice(2);
writeFileSync(target, brotliDecompressSync(readFileSync(source)), { mode: 0o755 });
