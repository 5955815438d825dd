// Runs a session in Pyodide. The first message says where Python is; the session answers all others.

const say = (stage, share) => postMessage(JSON.stringify({ stage, share }));

async function start({ pyodide, packages, archive, session }) {
  say("Python", 0.05);
  const source = fetch(archive).then((answer) => answer.arrayBuffer());
  const { loadPyodide } = await import(`${pyodide}pyodide.mjs`);
  const python = await loadPyodide({ indexURL: pyodide });
  say("NumPy", 0.5);
  await python.loadPackage(packages, { messageCallback: () => {} });
  say("minigrad", 0.85);
  const folder = python.runPython("import site; site.getsitepackages()[0]");
  python.unpackArchive(new Uint8Array(await source), "zip", { extractDir: folder });
  const answer = python.runPython(`from minigrad.playground import ${session}; ${session}().handle`);
  return async (message) => {
    const first = answer(message);
    if (!first.startsWith('{"needs"')) return first;
    const { needs } = JSON.parse(first);
    say(needs.join(", "), 0.9);
    await python.loadPackage(needs, { messageCallback: () => {} }).catch(() => {}); // the code says it
    return answer(message);
  };
}

let handle;

onmessage = async ({ data }) => {
  try {
    if (handle) postMessage(await handle(data));
    else {
      handle = await start(JSON.parse(data));
      postMessage("{}");
    }
  } catch (error) {
    postMessage(JSON.stringify({ fatal: String(error) }));
  }
};
