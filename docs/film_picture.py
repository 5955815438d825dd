"""Draw the film of the README: python docs/film_picture.py writes docs/_static/film.webp.

It needs Chromium and Pillow.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

from minigrad import SGD, BCEWithLogitsLoss, Dense, Sequential

WIDTH, HEIGHT, FRAMES = 900, 830, 28
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "google-chrome"


def screenshot(page: Path, update: int) -> Image.Image:
    """Return the picture of a page at an update."""
    picture = page.with_suffix(".png")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    size = [f"--window-size={WIDTH},{HEIGHT}", "--virtual-time-budget=2000"]
    target = [f"--screenshot={picture}", f"{page.as_uri()}#{update}"]
    subprocess.run([CHROMIUM, *flags, *size, *target], check=True, capture_output=True)
    with Image.open(picture) as image:
        size = 640, 640 * HEIGHT // WIDTH
        return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, size=(400, 2))
model = Sequential([Dense(8, "tanh"), Dense(8, "tanh"), Dense(1)], input_shape=(2,), rng=0)
model.compile(optimizer=SGD(learning_rate=0.1, momentum=0.9), loss=BCEWithLogitsLoss())
inside = np.hypot(*x.T) < 0.6
title = "A 2-8-8-1 network learns a disc"
film = model.film(x, inside, epochs=120, frames=FRAMES, title=title, verbose=0)
with tempfile.TemporaryDirectory() as folder:
    page = Path(folder, "film.html")
    film.to_html(page)
    first, *rest = (screenshot(page, update or 1) for update in film.updates)
durations = [180] * len(rest) + [2500]
path = Path(__file__).parent / "_static" / "film.webp"
options = {"save_all": True, "append_images": rest, "loop": 0, "quality": 45, "method": 6}
first.save(path, duration=durations, **options)
print(f"{path}: {path.stat().st_size:,} bytes")
