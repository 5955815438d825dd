"""Draw the pictures of the README: python docs/readme_pictures.py [film] [card] ...

It writes them to docs/_static; without arguments all. It needs Chromium and Pillow.
"""

import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageChops

from minigrad import SGD, BCEWithLogitsLoss, Dense, Sequential, Sigmoid
from minigrad.film import Film
from minigrad.lessons.tutorial import half_squared_error, network, sum_of_two
from minigrad.playground.script import Script
from minigrad.playground.server import Server
from minigrad.playground.session import write_link
from minigrad.playground.settings import Settings
from minigrad.plots.svg import document, text

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from browser import Browser

STATIC = Path(__file__).parent / "_static"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "google-chrome"
WIDTH = 640  # of a picture


def screenshot(
    page: Path, width: int, height: int, *, at: str = "", dark: bool = False
) -> Image.Image:
    """Return the picture of a page, opened with a fragment such as "#3"."""
    picture = page.with_suffix(".png")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    flags += [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
    size = [f"--window-size={width},{height}", "--virtual-time-budget=2000"]
    target = [f"--screenshot={picture}", page.as_uri() + at]
    subprocess.run([CHROMIUM, *flags, *size, *target], check=True, capture_output=True)
    with Image.open(picture) as image:
        return image.convert("RGB")


def disc() -> Film:
    """Return the film of a network that learns a disc."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, size=(400, 2))
    model = Sequential([Dense(8, "tanh"), Dense(8, "tanh"), Dense(1)], input_shape=(2,), rng=0)
    model.compile(optimizer=SGD(learning_rate=0.1, momentum=0.9), loss=BCEWithLogitsLoss())
    inside = np.hypot(*x.T) < 0.6
    title = "A 2-8-8-1 network learns a disc"
    return model.film(x, inside, epochs=120, frames=28, title=title, verbose=0)


def film() -> None:
    """Record a network that learns a disc."""
    made = disc()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "film.html")
        made.to_html(page)
        shots = [screenshot(page, 900, 830, at=f"#{update or 1}") for update in made.updates]
    size = WIDTH, WIDTH * 830 // 900
    first, *rest = (shot.resize(size, Image.Resampling.LANCZOS) for shot in shots)
    durations = [180] * len(rest) + [2500]
    options = {"save_all": True, "append_images": rest, "loop": 0, "quality": 45, "method": 6}
    first.save(STATIC / "film.webp", duration=durations, **options)


def card() -> None:
    """Take the picture that links to the site show: the name, and the last moment of a film."""
    style = """<style>
      .player, .film > header, .loss, figcaption, footer { display: none !important; }
      h1 { font-size: 76px !important; } canvas { height: 380px !important; }
      body { padding: 24px 48px !important; max-width: none !important; }
      h1::after { content: "every number of backpropagation, on NumPy";
        display: block; font: 400 32px sans-serif; color: var(--muted); margin-bottom: 20px; }
    </style>"""
    made = disc()
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "card.html")
        made.to_html(page)
        text = (
            page.read_text().replace(made.title, "minigrad").replace("</head>", f"{style}</head>")
        )
        page.write_text(text)
        shot = screenshot(page, 1200, 630, at=f"#{made.updates[-1]}")
        shot.quantize(128).save(STATIC / "card.png", optimize=True)


def explanation() -> None:
    """Show the gradient of the output's weights in a 2-3-1 network, for light and dark pages."""
    model = Sequential([Dense(3), Sigmoid(), Dense(1), Sigmoid()], input_shape=(2,), rng=4)
    explained = model.explain(np.array([[0.5, 1.0]]), np.array([1.0]), loss="mse")
    step = [step.name for step in explained.steps].index("∂J/∂w2")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "explanation.html")
        explained.to_html(page)
        script = f"for (let i = 0; i < {step}; i++) document.getElementById('next').click()"
        style = "#pick, footer { display: none } * { transition: none !important }"
        added = f"<style>{style}</style><script>{script}</script>"
        page.write_text(page.read_text().replace("</body>", f"{added}</body>"))
        for theme in ("light", "dark"):
            shot = screenshot(page, 900, 1200, dark=theme == "dark")
            ground = Image.new("RGB", shot.size, shot.getpixel((0, 0)))
            _, _, _, bottom = ImageChops.difference(shot, ground).getbbox()
            shot = shot.crop((0, 0, 900, bottom + 16))
            shot.save(STATIC / f"explanation-{theme}.webp", quality=70, method=6)


def diagnosis() -> None:
    """Write down what `diagnose` says about the tutorial's network, for light and dark pages."""
    rng = np.random.RandomState(4)
    x, t = sum_of_two(rng)
    model, optimizer = network(rng), SGD(learning_rate=0.01)
    found = model.diagnose(x, t, loss=half_squared_error(), optimizer=optimizer)
    body, y = [], 44.0
    for line in str(found).splitlines()[2:]:
        y += 20 if line else 10
        x0 = 40 if line.startswith(" ") else 24
        look = "fill-muted" if line.startswith("(") else "fill-ink"
        if line.startswith("ERROR"):
            look = "strong fill-series-1"
        body.append(text(x0, y, line, f"body {look}", anchor="start"))
    description = " ".join(str(found).split())
    title = f"print(model.diagnose(x, t)): {found.headline}"
    picture = document(WIDTH, y + 24, body, title=title, description=description)
    (STATIC / "diagnosis.svg").write_text(picture + "\n", encoding="utf-8")


def playground() -> None:
    """Show the playground after a run that has learned a spiral."""
    script = Script(Settings(data="spiral", noise=0.02, optimizer="Adam", learning_rate=0.02))
    script.add(("fit", 400))
    shown = "window.playground?.frame?.epoch >= 400 && !playground.diagnosing"
    with tempfile.TemporaryDirectory() as folder, Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = Browser(Path(folder))
        page.show(1280, 880)
        page.call("Page.navigate", url=f"{server.address}#{write_link(script)}")
        while not page.js(f"Boolean({shown})"):
            time.sleep(0.05)
        page.js("playground.playing && document.getElementById('play').click()")
        time.sleep(3)  # the diagnosis follows
        page.screenshot(Path(folder, "playground.png"))
        page.close()
        server.shutdown()
        with Image.open(Path(folder, "playground.png")) as picture:
            picture.convert("RGB").save(STATIC / "playground.webp", quality=80, method=6)


if __name__ == "__main__":
    pictures = {"film": film, "card": card, "explanation": explanation, "diagnosis": diagnosis}
    pictures["playground"] = playground
    for name in sys.argv[1:] or pictures:
        pictures[name]()
