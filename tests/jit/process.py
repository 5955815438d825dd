"""One of two processes that train together, for test_hosts.py: it prints what each fit gives.

Arguments: the process, the port, and the names of the cases to run. Process -1 runs alone on all
rows.
"""

import json
import os
import signal
import sys
from pathlib import Path

import jax
import numpy as np

process, port, cases = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
if process >= 0:
    jax.distributed.initialize(
        f"127.0.0.1:{port}",
        2,
        process,
        heartbeat_timeout_seconds=5,
        shutdown_timeout_seconds=5,
    )

from minigrad import (  # noqa: E402
    SGD,
    BatchNorm,
    Callback,
    CSVLogger,
    Dense,
    Dropout,
    Sequential,
    Tanh,
)
from minigrad.jit import pcg64  # noqa: E402

pcg64._FEWEST = 1
x = np.random.default_rng(0).normal(size=(45, 3))
y = np.sin(x).sum(axis=1)
weight = np.linspace(0, 1, 45)


def network(*layers, learning_rate=0.1, rng=0):
    model = Sequential([Dense(4), Tanh(), *layers, Dense(1)], input_shape=(3,), rng=rng)
    model.compile(optimizer=SGD(learning_rate=learning_rate), loss="mse", metrics=["mae"])
    return model


def fit(model, first, second, batch_size, **options):
    """Fit to a share of the rows; alone, to both in the order in which two processes take them."""
    together = [
        rows[i : i + batch_size]
        for i in range(0, max(len(first), len(second)), batch_size)
        for rows in (first, second)
    ]
    rows = (first, second)[process] if process >= 0 else np.concatenate(together)
    if process < 0:
        batch_size *= 2
    weights = {"sample_weight": weight[rows]} if options.pop("weighted", False) else {}
    options = {"epochs": 3, "shuffle": False, "validation_data": (x[rows], y[rows])} | options
    history = model.fit(
        x[rows], y[rows], batch_size=batch_size, verbose=0, engine="jax", **weights, **options
    )
    return {**history} | {"interrupted": model.trainer.interrupted}


def at_epoch_3(action):
    epochs = []

    def callback(epoch, logs):
        epochs.append(epoch)
        if len(epochs) == 3 and process == 1:
            action()

    return {"epochs": 10**6, "callbacks": [callback]}


class EachStep(Callback):
    def on_update_end(self, trainer):
        pass


def fail():
    raise ZeroDivisionError("on purpose")


def kill():
    os.kill(os.getpid(), signal.SIGKILL)


def halt():
    Path("halted").touch()
    os.kill(os.getpid(), signal.SIGSTOP)


model = network()
EVEN = np.arange(20), np.arange(20, 40)
UNEVEN = np.arange(23), np.arange(23, 45)


def run(case):
    match case:
        case "batches":
            return fit(network(BatchNorm(), Dropout(0.3)), *EVEN, 8)
        case "dropout":
            return fit(network(Dropout(0.3), Dense(4), Dropout(0.2)), *EVEN, 8, weighted=True)
        case "uneven":
            return fit(network(), *UNEVEN, 30, weighted=True)
        case "few":
            return fit(network(), np.arange(40), np.arange(40, 45), 60)
        case "batch_dependent":
            return fit(network(BatchNorm()), *UNEVEN, 30)
        case "shuffled":
            return fit(network(), *UNEVEN, 4, shuffle=True)
        case "file":
            return fit(model, *EVEN, 8, callbacks=[CSVLogger(f"log-{process}.csv")])
        case "models":
            return fit(network(rng=process), *EVEN, 8)
        case "stream" if process == 1:
            return fit(model, *EVEN, 8, validation_data=[(x, y)])
        case "stream":
            return fit(model, *EVEN, 8)
        case "sizes":
            return fit(network(), *EVEN, 8 + process)
        case "callback":
            return fit(model, *EVEN, 8, **at_epoch_3(fail))
        case "diverged":
            return fit(network(learning_rate=1e9), *EVEN, 8, epochs=10**6)
        case "ctrl-c":
            press = at_epoch_3(lambda: os.kill(os.getpid(), signal.SIGINT))
            return fit(model, *EVEN, 8, **press) | {"again": fit(model, *EVEN, 8)["loss"]}
        case "stop":
            options = at_epoch_3(lambda: setattr(model.trainer, "stop", True))
            options["callbacks"] += [EachStep()] * process  # only in one of them
            return fit(model, *EVEN, 8, **options)
        case "kill":
            return fit(model, *EVEN, 8, **at_epoch_3(kill))
        case "exit":
            return fit(model, *EVEN, 8, **at_epoch_3(lambda: os._exit(0)))
        case "system_exit":
            return fit(model, *EVEN, 8, **at_epoch_3(sys.exit))
        case "halt":
            return fit(model, *EVEN, 8, **at_epoch_3(halt))
        case "unusable" if process == 1:
            return network().fit(x[:, :2], y, engine="jax")
        case "unusable":
            return fit(network(), *EVEN, 8)


for case in cases:
    try:
        found = run(case)
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps({"case": case} | found), flush=True)
