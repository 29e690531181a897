"""symnet: from nothing to the first cost."""

import numpy as np

import symnet
import symnet.tensor as T

X = symnet.shared(np.full((1280, 784), 0.1, np.float32), borrow=True)
Y = symnet.shared(np.arange(1280) % 10, borrow=True)
W1 = symnet.shared((np.arange(784000) % 17 - 8).reshape(784, 1000).astype(np.float32) * 0.01)
b1 = symnet.shared(np.zeros(1000, np.float32))
W2 = symnet.shared((np.arange(10000) % 13 - 6).reshape(1000, 10).astype(np.float32) * 0.01)
b2 = symnet.shared(np.zeros(10, np.float32))
x, y, i = T.matrix("x"), T.lvector("y"), T.lscalar("i")
h = T.nnet.relu(T.dot(x, W1) + b1)
cost = T.nnet.categorical_crossentropy(T.nnet.softmax(T.dot(h, W2) + b2), y).mean()
parameters = [W1, b1, W2, b2]
train = symnet.function(
    [i],
    cost,
    updates=[(p, p - 0.05 * g) for p, g in zip(parameters, symnet.grad(cost, parameters))],
    givens={x: X[i * 128 : (i + 1) * 128], y: Y[i * 128 : (i + 1) * 128]},
)
print(float(train(0)), flush=True)
