// Frames with a page of minigrad: each has the height of its content and the theme of the site.

const frames = () => [...document.querySelectorAll(".cell_output iframe")];

function tellTheme(frame) {
  frame.contentWindow.postMessage({ minigrad: "theme", theme: document.body.dataset.theme }, "*");
}

addEventListener("message", ({ data, source }) => {
  const frame = frames().find(({ contentWindow }) => contentWindow === source);
  if (!frame || data?.minigrad !== "height") return;
  frame.style.height = `${Math.min(Number(data.height) + 2, 4000)}px`;
  tellTheme(frame);
});

addEventListener("DOMContentLoaded", () => {
  const observer = new MutationObserver(() => frames().forEach(tellTheme));
  observer.observe(document.body, { attributeFilter: ["data-theme"] });
});
