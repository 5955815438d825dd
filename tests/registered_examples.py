"""An example of every registered class; a new class gets its line here.

The fixtures of conftest.py run a test once for each line.
"""

import numpy as np

from minigrad import (
    ELU,
    GELU,
    L1,
    L1L2,
    L2,
    SELU,
    SGD,
    Adagrad,
    Adam,
    AdamW,
    BatchNorm,
    BCELoss,
    BCEWithLogitsLoss,
    Chain,
    Constant,
    CosineDecay,
    CrossEntropyLoss,
    Dense,
    Dropout,
    ExponentialDecay,
    Flatten,
    GlorotNormal,
    GlorotUniform,
    Hardsigmoid,
    Hardtanh,
    HeNormal,
    HeUniform,
    HingeLoss,
    HuberLoss,
    Identity,
    L1Loss,
    LayerNorm,
    LeakyReLU,
    LecunNormal,
    LecunUniform,
    LogSoftmax,
    Mish,
    Model,
    MSELoss,
    Normal,
    Ones,
    Orthogonal,
    Parallel,
    ReLU,
    Reshape,
    Residual,
    RMSprop,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    StepDecay,
    Tanh,
    Uniform,
    Zeros,
)
from minigrad.metrics.named import AtThreshold, TopK
from minigrad.util.config import Configurable

LAYERS = [
    (Identity(), (3,)),
    (Sigmoid(), (3,)),
    (Tanh(), (2, 3)),
    (ReLU(), (3,)),
    (LeakyReLU(), (3,)),
    (LeakyReLU(0.3, name="leaky"), (2, 3)),
    (ELU(), (3,)),
    (ELU(0.7), (3,)),
    (SELU(), (3,)),
    (Hardtanh(), (3,)),
    (Hardsigmoid(), (3,)),
    (GELU(), (3,)),
    (GELU(approximate="tanh"), (2, 3)),
    (SiLU(), (3,)),
    (Softplus(), (3,)),
    (Mish(), (3,)),
    (Softsign(), (3,)),
    (Softmax(), (4,)),
    (Softmax(), (2, 3)),
    (LogSoftmax(), (4,)),
    (LogSoftmax(), (2, 3)),
    (Dense(4), (3,)),
    (Dense(1, use_bias=False, name="last"), (2,)),
    (Dense(3, "tanh", weight_initializer=Orthogonal(0.9), bias_initializer="normal"), (2,)),
    (Dense(2, weight_initializer=np.array([[0.5, -1.5]]), weight_regularizer=L2(0.1)), (1,)),
    (Dense(2, Softmax(), weight_regularizer=L1(0.1), bias_regularizer=L1L2(l1=0.2, l2=0.3)), (3,)),
    (Dense(4), (2, 3)),
    (Dense(2, Softmax(), use_bias=False, weight_regularizer=L2(0.1)), (2, 2, 3)),
    (Dropout(0.4), (5,)),
    (Dropout(0), (2, 3)),
    (BatchNorm(), (3,)),
    (BatchNorm(momentum=0.3, epsilon=0.01), (2, 3)),
    (BatchNorm(), (2, 2, 3)),
    (LayerNorm(), (4,)),
    (LayerNorm(epsilon=0.01), (2, 3)),
    (LayerNorm(), (2, 2, 3)),
    (Flatten(), (2, 3)),
    (Reshape((3, -1)), (2, 3)),
    (Reshape((6,)), (2, 3)),
    (Chain([Dense(4, "relu"), LayerNorm(), Residual(Dense(4)), Flatten(), Dense(3)]), (2, 3)),
    (Chain([Dense(2), BatchNorm(), Tanh(), Dropout(0.2), Dense(3)]), (3,)),
    (Residual(Tanh()), (2, 3)),
    (Residual([Dense(4), Softplus(), Residual(Dense(4, "tanh")), Dense(3)], name="block"), (3,)),
    (Parallel([Dense(2), [Dense(3), ReLU(), Dense(2)]]), (3,)),
    (Parallel([Identity(), Tanh(), Residual(Dense(3))], merge="mean"), (3,)),
    (Parallel([Dense(1), Parallel([Identity(), Softmax()]), [Tanh()]], merge="concat"), (3,)),
    (Model(Residual([Dense(3)])), (3,)),
    (Sequential([Dense(2), Sequential([LayerNorm(), Dense(3)])], name="inner"), (3,)),
]

_RNG = np.random.default_rng(0)
_TARGETS = _RNG.normal(size=(5, 3))
_LABELS = _RNG.integers(0, 2, size=(5, 3)).astype(float)
_CLASSES = np.array([0, 2, 1, 1, 0])
_SHARES = _RNG.dirichlet(np.ones(3), size=5)
_PROBABILITIES = _RNG.uniform(0.1, 0.9, size=(5, 3))
_LOGITS = _RNG.normal(size=(5, 3))
_STEPS = _RNG.normal(size=(5, 2, 3))

LOSSES = [
    (MSELoss(), _LOGITS, _TARGETS),
    (L1Loss(), _LOGITS, _TARGETS),
    (HuberLoss(), _LOGITS, _TARGETS),
    (HuberLoss(delta=0.5), _LOGITS, _TARGETS),
    (BCELoss(), _PROBABILITIES, _LABELS),
    (BCEWithLogitsLoss(), _LOGITS, _LABELS),
    (HingeLoss(), _LOGITS, 2 * _LABELS - 1),
    (CrossEntropyLoss(), _LOGITS, _CLASSES),
    (CrossEntropyLoss(), _LOGITS, _SHARES),
    (CrossEntropyLoss(label_smoothing=0.1), _LOGITS, _CLASSES),
    (MSELoss(), _STEPS, _RNG.normal(size=(5, 2, 3))),
    (CrossEntropyLoss(), _STEPS, _RNG.integers(0, 3, size=(5, 2))),
    (CrossEntropyLoss(label_smoothing=0.1), _STEPS, _RNG.dirichlet(np.ones(3), size=(5, 2))),
]

INITIALIZERS = [
    Zeros(),
    Ones(),
    Constant(0.5),
    Normal(0.3),
    Uniform(0.3),
    GlorotNormal(),
    GlorotUniform(),
    HeNormal(),
    HeUniform(),
    LecunNormal(),
    LecunUniform(),
    Orthogonal(1.2),
]

REGULARIZERS = [L1(0.3), L2(0.3), L1L2(l1=0.1, l2=0.2)]

SCHEDULES = [
    StepDecay(initial_learning_rate=0.1, decay_rate=0.5, decay_steps=2),
    ExponentialDecay(initial_learning_rate=0.1, decay_rate=0.9),
    CosineDecay(initial_learning_rate=0.1, decay_steps=8, warmup_steps=2),
]

OPTIMIZERS = [
    SGD(),
    SGD(learning_rate=SCHEDULES[1], momentum=0.9, nesterov=True, weight_decay=0.1),
    RMSprop(),
    RMSprop(momentum=0.5),
    Adagrad(),
    Adam(learning_rate=0.1, clip_norm=1.0),
    AdamW(weight_decay=0.1, clip_value=0.5),
]

METRICS = [AtThreshold("precision", threshold=0.9), TopK(k=2)]

ALONE = [*INITIALIZERS, *REGULARIZERS, *SCHEDULES, *OPTIMIZERS, *METRICS]
EXAMPLES: list[Configurable] = [*(e[0] for e in [*LAYERS, *LOSSES]), *ALONE]
