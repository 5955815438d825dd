// How messages reach the session in Python: over the local server, or to Pyodide in a worker.

// Each message is answered before the next is sent; `aside` lets one overtake the others.
export async function connect(loading) {
  const worker = document.documentElement.dataset.transport === "worker";
  const send = await (worker ? toWorker(loading) : toServer());
  let last = Promise.resolve();
  const ask = (message) => {
    const answer = last.then(() => send(message));
    last = answer.catch(() => {});
    return answer;
  };
  return { ask, aside: worker ? ask : send };
}

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

function toWorker(loading) {
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const waiting = [];
  return new Promise((ready, failed) => {
    const send = (message) => new Promise((done) => {
      waiting.push(done);
      worker.postMessage(JSON.stringify(message));
    });
    worker.onmessage = ({ data }) => {
      const answer = JSON.parse(data);
      if (answer.did !== "loading") waiting.shift()(answer);
      else if (answer.error) failed(new Gone(`Python didn't start: ${answer.error}`));
      else if (answer.share === 1) ready(send);
      else loading(answer);
    };
  });
}
