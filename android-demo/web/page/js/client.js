// The page's side of the worker: ask for a job, get a promise.

export class Client {
  constructor() {
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.waiting = new Map();
    this.number = 0;
    this.broken = null;
    this.worker.onmessage = ({ data }) => this.hear(data);
    this.worker.onerror = (event) => {
      event.preventDefault();
      this.fail({ code: "engine", message: event.message ?? "" });
    };
  }

  /** The result of a job; `tick` hears (done, total). Rejects with {code, message}. */
  ask(job, request, tick = () => {}) {
    if (this.broken) return Promise.reject(this.broken);
    this.number += 1;
    const number = this.number;
    return new Promise((resolve, reject) => {
      this.waiting.set(number, { resolve, reject, tick });
      this.worker.postMessage({ number, job, request });
    });
  }

  /** Ask the worker to leave what it does after the part that it is at. */
  stop() {
    this.worker.postMessage({ number: this.number, job: "stop" });
  }

  /** Let the worker and its memory go. */
  close() {
    this.worker.terminate();
  }

  hear({ number, result, failure, done, total }) {
    const asked = this.waiting.get(number);
    if (!asked) return;
    if (done !== undefined) return asked.tick(done, total);
    this.waiting.delete(number);
    if (failure) asked.reject(failure);
    else asked.resolve(result);
  }

  /** The worker itself cannot run: nothing that was asked, or will be, gets an answer. */
  fail(failure) {
    this.broken = failure;
    for (const { reject } of this.waiting.values()) reject(failure);
    this.waiting.clear();
  }
}
