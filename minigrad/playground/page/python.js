// Starts Pyodide in a worker, and sends messages to a session there.

// `places` has the addresses of Pyodide, of its packages and of the archive with the library, and
// the name of the session's class. Returns what sends a message, and what ends the worker.
export async function startPython({ pyodide, packages, archive, session }, loading, base = document.baseURI) {
  const at = (address) => new URL(address, base).href;
  const names = packages.split(" ").map((name) => (name.endsWith(".whl") ? at(name) : name));
  const worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const waiting = [];
  const send = (message) => new Promise((done, failed) => {
    waiting.push({ done, failed });
    worker.postMessage(JSON.stringify(message));
  });
  const end = (reason) => {
    worker.terminate();
    for (const { failed } of waiting.splice(0)) failed(new Error(reason));
  };
  worker.onerror = ({ message }) => end(`Python has ended: ${message ?? "its worker didn't start"}`);
  worker.onmessage = ({ data }) => {
    const answer = JSON.parse(data);
    if (answer.fatal) end(`Python has ended: ${answer.fatal}`);
    else if (answer.stage) loading(answer);
    else waiting.shift().done(answer);
  };
  await send({ pyodide: at(pyodide), packages: names, archive: at(archive), session });
  return { send, end };
}
