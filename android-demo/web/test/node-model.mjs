// A bundle's folder, opened in Node with the page's own code and the same WebAssembly.

import { existsSync, readFileSync } from "node:fs";
import { Tokenizer } from "@huggingface/tokenizers";
import * as ort from "onnxruntime-web/wasm";
import { openModel } from "../page/js/model.js";

export function openFolder(folder) {
  ort.env.wasm.numThreads = 1;
  const read = (name) => readFileSync(`${folder}/${name}`);
  const parsed = (name) => JSON.parse(read(name).toString("utf8"));
  const beside = existsSync(`${folder}/model.onnx.data`) ? { "model.onnx.data": read("model.onnx.data") } : {};
  const files = { config: parsed("bundle.json"), tokenizer: parsed("tokenizer.json"), graph: read("model.onnx"), weights: beside };
  return openModel({ ort, Tokenizer, files });
}
