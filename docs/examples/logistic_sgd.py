"""Logistic regression on MNIST, as written for Theano 1.0; only the two import lines differ.

    python logistic_sgd.py FOLDER      with the four MNIST files in FOLDER

Softmax regression trained by minibatch gradient descent. The data lie in shared variables and the
compiled functions take the index of a minibatch. Training stops early: it goes on as long as the
validation error keeps falling by enough within the patience that is left.
"""

import gzip
import os
import sys
import time

import numpy

import symnet as theano  # import theano
import symnet.tensor as T  # import theano.tensor as T


class LogisticRegression:
    """Classes by softmax of an affine map of the input."""

    def __init__(self, input, n_in, n_out):
        self.W = theano.shared(
            value=numpy.zeros((n_in, n_out), dtype=theano.config.floatX), name="W", borrow=True
        )
        self.b = theano.shared(
            value=numpy.zeros((n_out,), dtype=theano.config.floatX), name="b", borrow=True
        )
        self.p_y_given_x = T.nnet.softmax(T.dot(input, self.W) + self.b)
        self.y_pred = T.argmax(self.p_y_given_x, axis=1)
        self.params = [self.W, self.b]

    def negative_log_likelihood(self, y):
        return -T.mean(T.log(self.p_y_given_x)[T.arange(y.shape[0]), y])

    def errors(self, y):
        if y.ndim != self.y_pred.ndim:
            raise TypeError("y has another number of dimensions", ("y", y.type))
        if not y.dtype.startswith("int"):
            raise NotImplementedError("labels are integers")
        return T.mean(T.neq(self.y_pred, y))


def read_images(path):
    with gzip.open(path) as f:
        data = numpy.frombuffer(f.read(), numpy.uint8, offset=16)
    return data.reshape(-1, 784) / 256.0


def read_labels(path):
    with gzip.open(path) as f:
        return numpy.frombuffer(f.read(), numpy.uint8, offset=8)


def load_data(folder):
    """Pairs (images, labels) of NumPy arrays: 50,000 to train, 10,000 each to validate and test."""
    train_x = read_images(os.path.join(folder, "train-images-idx3-ubyte.gz"))
    train_y = read_labels(os.path.join(folder, "train-labels-idx1-ubyte.gz"))
    test_x = read_images(os.path.join(folder, "t10k-images-idx3-ubyte.gz"))
    test_y = read_labels(os.path.join(folder, "t10k-labels-idx1-ubyte.gz"))
    return [
        (train_x[:50000], train_y[:50000]),
        (train_x[50000:], train_y[50000:]),
        (test_x, test_y),
    ]


def shared_dataset(data_xy, borrow=True):
    """The data as shared variables; labels are stored as floats and cast, as GPUs once wanted."""
    data_x, data_y = data_xy
    shared_x = theano.shared(numpy.asarray(data_x, dtype=theano.config.floatX), borrow=borrow)
    shared_y = theano.shared(numpy.asarray(data_y, dtype=theano.config.floatX), borrow=borrow)
    return shared_x, T.cast(shared_y, "int32")


def sgd_optimization(datasets, learning_rate=0.13, n_epochs=1000, batch_size=600, verbose=True):
    """Train; returns (best validation error, its test error, epochs made), errors in [0, 1]."""
    (train_set_x, train_set_y), (valid_set_x, valid_set_y), (test_set_x, test_set_y) = [
        shared_dataset(pair) for pair in datasets
    ]
    n_train_batches = train_set_x.get_value(borrow=True).shape[0] // batch_size
    n_valid_batches = valid_set_x.get_value(borrow=True).shape[0] // batch_size
    n_test_batches = test_set_x.get_value(borrow=True).shape[0] // batch_size

    index = T.lscalar()
    x = T.matrix("x")
    y = T.ivector("y")
    n_in = train_set_x.get_value(borrow=True).shape[1]
    classifier = LogisticRegression(input=x, n_in=n_in, n_out=10)
    cost = classifier.negative_log_likelihood(y)

    def batch_of(set_x, set_y):
        return {
            x: set_x[index * batch_size : (index + 1) * batch_size],
            y: set_y[index * batch_size : (index + 1) * batch_size],
        }

    test_model = theano.function(
        inputs=[index], outputs=classifier.errors(y), givens=batch_of(test_set_x, test_set_y)
    )
    validate_model = theano.function(
        inputs=[index], outputs=classifier.errors(y), givens=batch_of(valid_set_x, valid_set_y)
    )
    g_W = T.grad(cost=cost, wrt=classifier.W)
    g_b = T.grad(cost=cost, wrt=classifier.b)
    updates = [
        (classifier.W, classifier.W - learning_rate * g_W),
        (classifier.b, classifier.b - learning_rate * g_b),
    ]
    train_model = theano.function(
        inputs=[index],
        outputs=cost,
        updates=updates,
        givens=batch_of(train_set_x, train_set_y),
    )

    patience = 5000  # minibatches to look at in any case
    patience_increase = 2  # how much longer to wait after a better result
    improvement_threshold = 0.995  # what counts as better
    validation_frequency = min(n_train_batches, patience // 2)
    best_validation_loss = numpy.inf
    test_score = numpy.inf
    epoch = 0
    done_looping = False
    while epoch < n_epochs and not done_looping:
        epoch += 1
        for minibatch_index in range(n_train_batches):
            train_model(minibatch_index)
            iteration = (epoch - 1) * n_train_batches + minibatch_index
            if (iteration + 1) % validation_frequency == 0:
                loss = numpy.mean([validate_model(i) for i in range(n_valid_batches)])
                if loss < best_validation_loss:
                    if loss < best_validation_loss * improvement_threshold:
                        patience = max(patience, iteration * patience_increase)
                    best_validation_loss = loss
                    test_score = numpy.mean([test_model(i) for i in range(n_test_batches)])
                if verbose:
                    print(f"epoch {epoch}, validation error {loss:.2%}")
            if patience <= iteration:
                done_looping = True
                break
    return best_validation_loss, test_score, epoch


if __name__ == "__main__":
    if len(sys.argv) != 2 or not os.path.isdir(sys.argv[1]):
        sys.exit("usage: python logistic_sgd.py FOLDER, with the four .gz files of MNIST in FOLDER")
    start = time.time()
    valid, test, epochs = sgd_optimization(load_data(sys.argv[1]))
    seconds = time.time() - start
    print(f"validation error {valid:.2%}, test error {test:.2%}")
    print(f"{epochs} epochs in {seconds:.1f} s")
