// How messages reach the session in Python: over the local server, or to Pyodide in a worker.

import { startPython } from "./python.js";

// Each message is answered before the next is sent; `aside` lets one overtake the others.
export async function connect(loading) {
  const send = await (inWorker() ? toWorker(loading) : toServer());
  let last = Promise.resolve();
  const ask = (message) => {
    const answer = last.then(() => send(message));
    last = answer.catch(() => {});
    return answer;
  };
  return { ask, aside: inWorker() ? ask : send };
}

export const inWorker = () => document.documentElement.dataset.transport === "worker";

export class Gone extends Error {}

async function toServer() {
  const post = async (path, body) => {
    let answer;
    try {
      answer = await fetch(path, { method: "POST", body });
    } catch {
      throw new Gone("The server has ended. Run python -m minigrad.playground again.");
    }
    if (!answer.ok) throw new Gone("This page's session has ended. Load the page again.");
    return answer.json();
  };
  const { session } = await post("open", "");
  addEventListener("pagehide", () => navigator.sendBeacon(`close/${session}`, ""));
  addEventListener("pageshow", (event) => event.persisted && location.reload());
  return (message) => post(`ask/${session}`, JSON.stringify(message));
}

async function toWorker(loading) {
  const { pyodide, packages } = document.documentElement.dataset;
  const gone = (error) => { throw new Gone(`${error.message}. Load the page again.`); };
  const places = { pyodide, packages, archive: "minigrad.zip", session: "Session" };
  const { send } = await startPython(places, loading).catch(gone);
  return (message) => send(message).catch(gone);
}
