"""Draw the pictures of the gallery: python docs/gallery_pictures.py [NAME ...].

It runs each example, or those that are named, draws what the example has computed, and writes
docs/_static/gallery/NAME.svg. It needs Matplotlib, scikit-learn and what the examples import, and
takes about three minutes.
"""

import os
import runpy
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import wrap
from types import SimpleNamespace as Names

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "_static" / "gallery"
STARTUP = ROOT / "docs" / "_ipython" / "profile_default" / "startup" / "figures.py"
STYLE = {
    "font.size": 11, "axes.spines.top": False, "axes.spines.right": False,
    "svg.fonttype": "none", "svg.hashsalt": "minigrad",
}  # fmt: skip


def two_three_one(ns: Names, figure: Figure) -> None:
    """Draw the predictions of both networks over the sums."""
    ax = figure.subplots()
    order = np.argsort(ns.t[:, 0])[::100]
    ax.plot(ns.t[order], ns.t[order], color="gray", label="target")
    for name, model in ("sigmoid output", ns.model), ("linear output", ns.linear):
        ax.plot(ns.t[order], model.predict(ns.x[order]), ".", markersize=3, label=name)
    ax.set(xlabel="sum of the inputs", ylabel="prediction")
    ax.legend()


def film(ns: Names, figure: Figure) -> None:
    """Draw the losses of two films."""
    ax = figure.subplots()
    for film in ns.sigmoid, ns.linear:
        ax.loglog(film.updates[1:], film.losses[1:], label=film.title)
    ax.axhline(ns.FLOOR, color="gray", linestyle=":", label="1/12")
    ax.set(xlabel="update", ylabel="loss")
    ax.legend()


def images(figure: Figure, rows: int, columns: int) -> np.ndarray:
    """Return framed axes without ticks."""
    axes = figure.subplots(rows, columns)
    for ax in axes.flat:
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set_visible(True)
    return axes


def digits(ns: Names, figure: Figure) -> None:
    """Draw test images with the classes that the network finds, the wrong ones in red."""
    found = ns.model.predict(ns.x_test).argmax(axis=1)
    wrong, right = (np.flatnonzero(same) for same in (found != ns.y_test, found == ns.y_test))
    chosen = [*right[:15], *wrong[:3]]
    for ax, row in zip(images(figure, 3, 6).flat, chosen, strict=True):
        ax.imshow(ns.x_test[row].reshape(8, 8), cmap="Greys")
        ax.set_title(found[row], color="C3" if row in wrong else "#000000", fontsize=11, pad=2)


def breast_cancer(ns: Names, figure: Figure) -> None:
    """Draw the logits of both classes."""
    ax = figure.subplots()
    logits = ns.model.predict(ns.x_test)[:, 0]
    classes = [logits[ns.y_test == c] for c in (0, 1)]
    ax.hist(classes, bins=24, stacked=True, label=["malignant", "benign"])
    ax.axvline(0, color="#000000", linewidth=1)
    ax.set(xlabel="logit", ylabel="test rows")
    ax.legend()


def identity(ax: Axes, target: np.ndarray, prediction: np.ndarray) -> None:
    """Draw predictions over targets, and the line where they are equal."""
    ax.plot(target, prediction, ".", markersize=4)
    ends = target.min(), target.max()
    ax.plot(ends, ends, color="gray", linewidth=1)
    ax.set(xlabel="target", ylabel="prediction")


def multi_label(ns: Names, figure: Figure) -> None:
    """Draw the recall of each label without and with pos_weight."""
    ax = figure.subplots()
    for i, (name, recalls) in enumerate(ns.recalls.items()):
        ax.bar(np.arange(3) + 0.4 * i - 0.2, recalls, 0.4, label=name)
    shares = ns.y_train.mean(axis=0)
    ax.set_xticks(
        range(3), [f"label {k},\n{share:.0%} of the rows" for k, share in enumerate(shares)]
    )
    ax.set(ylabel="recall", ylim=(0, 1))
    ax.legend(loc="lower right")


def diabetes(ns: Names, figure: Figure) -> None:
    """Draw predictions over targets."""
    identity(figure.subplots(), ns.y_test, ns.model.predict(ns.x_test)[:, 0])


def grid_search(ns: Names, figure: Figure) -> None:
    """Draw the accuracies of both networks in the folds, for each of the options."""
    ax = figure.subplots()
    searches = ("minigrad", ns.model, "weight_regularizer"), ("scikit-learn", ns.reference, "alpha")
    for shift, (name, search, strength) in zip((-0.15, 0.15), searches, strict=True):
        results = search.cv_results_
        options = [
            (p["network__hidden_layer_sizes"][0], bool(p[f"network__{strength}"]))
            for p in results["params"]
        ]
        order = sorted(range(len(options)), key=options.__getitem__)
        folds = np.array([results[f"split{fold}_test_score"][order] for fold in range(3)])
        center = folds.mean(axis=0)
        spread = center - folds.min(axis=0), folds.max(axis=0) - center
        ax.errorbar(np.arange(len(order)) + shift, center, spread, fmt="o", label=name)
    labels = [f"{units} units" + "\nwith L2" * l2 for units, l2 in sorted(options)]
    ax.set_xticks(range(len(labels)), labels, fontsize=9)
    ax.set(ylabel="accuracy in three folds")
    ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)


def lbfgs(ns: Names, figure: Figure) -> None:
    """Draw the wave and what both methods make of it."""
    ax = figure.subplots()
    ax.plot(ns.x, ns.y, color="gray", linewidth=4, alpha=0.5, label="target")
    ax.plot(ns.x, ns.descent.predict(ns.x), label="gradient descent")
    ax.plot(ns.x, ns.model.predict(ns.x), label="L-BFGS")
    ax.legend()


def lenet(ns: Names, figure: Figure) -> None:
    """Draw the filters of the first layer."""
    filters = ns.first.weight.value[:, :, 0]
    top = abs(filters).max()
    for index, ax in enumerate(images(figure, 3, 5).flat):
        ax.imshow(filters[..., index], cmap="RdBu", vmin=-top, vmax=top)


def adding_problem(ns: Names, figure: Figure) -> None:
    """Draw the size of delta at each step."""
    ax = figure.subplots()
    for name, norms in ns.deltas.items():
        ax.semilogy(range(1, 51), norms.clip(1e-20), label=name)
    ax.set(xlabel="time step t", ylabel="|dJ/dx_t|")
    ax.legend()


def characters(ns: Names, figure: Figure) -> None:
    """Show what the network writes."""
    text = "\n".join(wrap("".join(ns.written), 32)[:9])
    figure.text(0.04, 0.94, text, family="monospace", fontsize=11, va="top")


def tiny_gpt(ns: Names, figure: Figure) -> None:
    """Draw the attention of four heads."""
    row = ns.answers[:1, :-1]
    norm = ns.model.activations(row)["attention.chain_1.norm"]
    for head, ax in enumerate(figure.subplots(2, 2).flat):
        weights = ns.attention.attention_weights(norm)[0, head]
        ax.imshow(weights[ns.QUESTION - 1 :], cmap="Blues", vmin=0, vmax=1, aspect="auto")
        ax.set_xticks(range(row.shape[1]), [ns.TOKENS[token] for token in row[0]])
        ax.set_yticks(range(3), [ns.TOKENS[token] for token in ns.answers[0, ns.QUESTION :]])
    figure.supxlabel("attends to")
    figure.supylabel("writes")


def reversal(ns: Names, figure: Figure) -> None:
    """Draw the attention of the longest word."""
    lengths = ns.x["mask"].sum(axis=1)
    row, n = lengths.argmax(), lengths.max()
    word = {name: array[row : row + 1] for name, array in ns.x.items()}
    states = ns.model.activations(word)
    query, value = states["gru_1"], states["bidirectional_1"]
    ax = figure.subplots()
    weights = ns.attention.attention_weights(query, value, word["mask"])[0, 0]
    ax.imshow(weights[:n, :n], cmap="Blues", vmin=0, vmax=1)
    for set_ticks, ids in (ax.set_xticks, word["word"][0]), (ax.set_yticks, ns.written[row]):
        set_ticks(range(n), [ns.LETTERS[i] for i in ids[:n]])
    ax.set(xlabel="attends to", ylabel="writes")


def siamese(ns: Names, figure: Figure) -> None:
    """Draw pairs of images with the answers, wrong ones in red."""
    x, same = ns.pairs(ns.test, 9)
    found = ns.model.predict(x)[:, 0] > 0
    for row, ax in enumerate(images(figure, 3, 3).flat):
        ax.imshow(np.hstack([x["left"][row, :, :, 0], x["right"][row, :, :, 0]]), cmap="Greys")
        ax.axvline(7.5, color="#000000", linewidth=0.8)
        color = "#000000" if found[row] == same[row] else "C3"
        ax.set_title("same" if found[row] else "different", color=color, fontsize=11)


def gan(ns: Names, figure: Figure) -> None:
    """Draw real points and those of the generator."""
    ax = figure.subplots()
    for points, label in (ns.ring(500), "real"), (ns.points[:500], "generated"):
        ax.plot(*points.T, ".", markersize=4, label=label)
    ax.set_aspect("equal")
    ax.legend(loc="center")


def two_inputs(ns: Names, figure: Figure) -> None:
    """Draw an order form, and predictions over targets."""
    x, y = ns.form(ns.test)
    left, right = figure.subplots(1, 2, width_ratios=(1, 2))
    left.imshow(x["image"][0, :, :, 0], cmap="Greys")
    price, discount = x["numbers"][0]
    left.set(xticks=[], yticks=[], xlabel=f"price {price:.2f}\ndiscount {discount:.0%}")
    identity(right, y["total"], ns.model.predict(x)["total"][:, 0])


def same_losses(figure: Figure, names: list[str], losses: list[list[float]], steps: str) -> None:
    """Draw the losses of two runs, one over the other."""
    ax = figure.subplots()
    ax.plot(losses[0], linewidth=4, color="lightgray", label=names[0])
    ax.plot(losses[1], label=names[1])
    scale = "log" if max(losses[0]) > 10 * min(losses[0]) else "linear"
    ax.set(xlabel=steps, ylabel="loss", yscale=scale)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.legend()


def jitted_layer(ns: Names, figure: Figure) -> None:
    """Draw the losses of both engines over the epochs."""
    same_losses(figure, ["NumPy", "jitted"], ns.losses, "epoch")


def two_processes(ns: Names, figure: Figure) -> None:
    """Draw the losses of one process and of two over the epochs."""
    same_losses(figure, ["one process", "two processes"], [ns.expected, ns.losses], "epoch")


def serve_onnx(ns: Names, figure: Figure) -> None:
    """Draw images with the probability that onnxruntime gives to their class."""
    for row, ax in enumerate(images(figure, 3, 6).flat):
        ax.imshow(ns.x_test[row, :, :, 0], cmap="Greys")
        found = ns.probabilities[row]
        color = "#000000" if found.argmax() == ns.y_test[row] else "C3"
        ax.set_title(f"{found.argmax()}: {found.max():.0%}", color=color, fontsize=8, pad=2)


def continue_in_torch(ns: Names, figure: Figure) -> None:
    """Draw the losses of the steps that both make."""
    same_losses(figure, ["minigrad", "PyTorch"], [ns.here, ns.there], "step after the change")


def pretrained_layers(ns: Names, figure: Figure) -> None:
    """Draw test images with the answers, wrong ones in red."""
    found = ns.model.predict(ns.images[ns.test])[:, 0] > 0
    for ax, image, even, answer in zip(
        images(figure, 3, 5).flat, ns.images[ns.test], ns.even[ns.test], found, strict=False
    ):
        ax.imshow(image[:, :, 0], cmap="Greys")
        color = "#000000" if even == answer else "C3"
        ax.set_title("even" if answer else "odd", color=color, fontsize=10, pad=2)


def reviews(ns: Names, figure: Figure) -> None:
    """Draw padded sequences, and the probability that each is good."""
    left, right = figure.subplots(1, 2, width_ratios=(2, 1), sharey=True)
    rows = ns.x_test[:18]
    left.imshow(np.where(rows > 0, rows, np.nan), cmap="Blues", aspect="auto")
    left.set(xlabel="step", ylabel="sequence")
    probabilities = 1 / (1 + np.exp(-ns.model.predict(rows)[:, 0]))
    right.barh(range(18), probabilities, color=np.where(ns.good_test[:18], "C0", "C1"))
    right.set(xlabel="good", xlim=(0, 1))


def frozen_base(ns: Names, figure: Figure) -> None:
    """Draw the points of the second question by the answer."""
    ax = figure.subplots()
    found = ns.second.predict(ns.other)[:, 0] > 0
    for answer, label in (True, "inside"), (False, "outside"):
        ax.plot(*ns.other[found == answer].T, ".", markersize=4, label=label)
    ax.set(aspect="equal", xlim=(-4, 5), ylim=(-3, 4))
    ax.legend()


def draw(name: str) -> None:
    """Run an example, and write its picture."""
    sys.argv = [name]
    ns = Names(**runpy.run_path(str(ROOT / "examples" / f"{name}.py")))
    with rc_context(STYLE):
        figure = Figure(figsize=(4.2, 2.8), layout="constrained")
        globals()[name](ns, figure)
        svg = runpy.run_path(str(STARTUP))["as_svg"](figure)
        (FOLDER / f"{name}.svg").write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    names = sys.argv[1:] or [path.stem for path in sorted(ROOT.glob("examples/*.py"))]
    FOLDER.mkdir(exist_ok=True)
    with TemporaryDirectory() as folder:
        os.chdir(folder)  # where film.py writes its pages
        for name in names:
            draw(name)
