# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Machine learning and deep learning
#
# How would you write a program that reads handwritten digits? A loop over pixels, a few rules about loops and strokes?
# People tried for decades, and somebody always wrote a 7 that broke the rules. What works is to write no rules at all:
# take a function with thousands of adjustable numbers, show it examples, and after each one turn every number a little
# in the direction that would have made the answer better. This is **machine learning**, and with functions built in
# many layers it is **deep learning**.
#
# Everything later in this course (autoencoders, adversarial networks, Transformers, diffusion) is this one idea with
# other functions and other examples. A language model, above all, is a classifier: it is shown the words so far, and
# its classes are all words that could come next. So it pays to have taken the machine apart once, down to the last
# derivative. You will
#
# - build a neural network out of matrix products, with no library for derivatives, and train it to read digits;
# - see it do the same, number for number, as the few lines of PyTorch that you will write from then on;
# - watch it learn too little and learn too much, and search for its hyperparameters without fooling yourself;
# - learn with no labels at all (k-means), and from reward alone (Q-learning).
#
# **How to work.** Read, fill the stub (replace `raise NotImplementedError`), run the cell, run the check below it. The
# checks are a selection: grading runs more. The docstring is the contract: shapes, units, what may be assumed.
# Everywhere in this notebook
#
# - the batch is the first dimension: `(batch, data)`, one example in each row;
# - a layer's weights are `(outputs, inputs)`, as in PyTorch;
# - a loss is a **mean over the batch**, and it is in the loss that this mean is taken, nowhere else;
# - logarithms are natural, so losses are in *nats*;
# - functions draw no random numbers of their own: a `torch.Generator`, or what was drawn, is passed in;
# - functions return new tensors and leave their arguments as they are (`train_classifier` alone changes the model that
#   it is given);
# - results live on the device, and have the dtype, of the inputs.
#
# Cells without a stub are there to be run and played with. A default such as `linear=linear_backward` is fixed when its
# cell is run: after mending an earlier answer run the cells below it once more.
#
# Plan for three to four hours. Each exercise says how hard it is (● to ●●●) and how long it takes when it goes well.

# %%
import itertools
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from coursekit import check, data, plots

# %% tags=["hands-on"]
BUDGET = 60_000  # images that each network sees in training; with a GPU, try 2_000_000
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

digits = data.load_digits()  # MNIST if it can be had, else scikit-learn's small collection
SIZE = digits.height, digits.width
PIXELS = digits.height * digits.width

# Three parts: to learn from, to choose by, and to judge by in the end.
held_out = min(len(digits.train), 20_000) // 5
validation = digits.train[:held_out].to(DEVICE), digits.train_labels[:held_out].to(DEVICE)
train = digits.train[held_out:20_000].to(DEVICE), digits.train_labels[held_out:20_000].to(DEVICE)
test = digits.test[:2000].to(DEVICE), digits.test_labels[:2000].to(DEVICE)
print(f"{digits.name}, {SIZE[0]} × {SIZE[1]} pixels: {len(train[0])} to train, ", end="")
print(f"{len(validation[0])} to validate, {len(test[0])} to test")
plots.strips({"": train[0][:14]}, SIZE, captions=[str(y) for y in train[1][:14].tolist()])

# %% [markdown]
# Here is the whole machine, with a digit in it. The pixels go through a layer of **hidden units** (the darker, the more
# active), and these vote on the ten classes. Each line is a number, a **weight**. At first the weights are random, and
# so is the answer. Two streams will pass through the picture. *Forward*, from left to right, the network computes what
# it thinks. *Backward*, from right to left, it works out how much each weight had to do with what was wrong. In section
# 4 you will see this picture again.

# %% tags=["hands-on"]
rng = torch.Generator().manual_seed(1)
hidden = F.relu(torch.randn(12, PIXELS, generator=rng) @ test[0][0].cpu()) / PIXELS**0.5
chances = torch.softmax(torch.randn(10, 12, generator=rng) @ hidden, dim=0)
plots.perceptron(test[0][0], hidden, chances, SIZE, title="A network that knows nothing yet")

# %% [markdown]
# ## 1 · Learning from examples
#
# ### Three ways to learn
#
# What does the learner get to see? By the answer one tells three kinds of machine learning apart.
#
# | | it sees | it is told | it finds | here |
# | --- | --- | --- | --- | --- |
# | **supervised** | examples with answers, $(x, y)$ | the right answer | a function from $x$ to $y$ | sections 1 to 6 |
# | **unsupervised** | examples alone, $x$ | nothing | structure: groups, directions, a density | section 7 |
# | **reinforcement** | what its own actions lead to | how good that was, often late | a way to act | section 8 |
#
# The borders are soft. Language models are trained on text that nobody has labelled, so the data are those of
# unsupervised learning; but the next word of a text is its own label, so the *method* is supervised from the first line
# to the last (this is called *self-supervised*). And when the model is made into an assistant, reinforcement learning
# comes on top. All three are needed, in that order.
#
# ### A function with knobs
#
# Supervised learning needs three things. A **model** $f_\theta$: a function with adjustable numbers $\theta$, the
# *parameters*. A **loss**: one number that says how bad an answer is. And an **optimiser**: a way to turn the knobs so
# that the loss falls. Training minimises the average loss over examples,
#
# $$\min_\theta\ \frac1N \sum_{n=1}^{N} \ell\big(f_\theta(x_n),\, y_n\big) ,$$
#
# in the hope that a function which does well on these will do well on others from the same source: that it
# **generalises**. That hope has to be checked, on examples that it was not trained on, and in section 5 you will see it
# fail.
#
# ### What a wrong answer costs
#
# Our answers are classes, $0$ to $9$. A model that just named one could only be right or wrong, and a small turn of a
# knob would almost never change that: there would be no slope to follow. So we let it *bet*. It gives each class a real
# number, a **logit** $a_c$, and **softmax** makes probabilities of them,
#
# $$p(c \mid x) = \frac{e^{a_c}}{\sum_{c'} e^{a_{c'}}} ,$$
#
# which are positive and sum to 1. What did it bet on the right class $y$? Its **surprise** is $-\log p(y \mid x)$:
# nothing if it was certain, $\log 2 = 0.69$ nats for a coin toss, more and more without bound as it was certain of
# something else. The mean surprise over a batch is the **cross-entropy** (Bishop 2006, section 4.3.4):
#
# $$L = -\frac1B \sum_{n=1}^{B} \log p(y_n \mid x_n)
# = \frac1B \sum_{n=1}^{B} \Big( \log \sum_{c} e^{a_{nc}} - a_{n y_n} \Big) .$$
#
# Minimising it is maximising the likelihood of the labels, and it is honest: nobody can lower his expected surprise by
# betting on anything but what he believes. Almost every model of this course is trained with a loss of this kind.
#
# **Compute it from logits.** Softmax first and logarithm afterwards is right on paper only: $e^{100}$ overflows in
# `float32`, and a probability that has become 0 has the logarithm $-\infty$. The second form above is safe if the
# largest logit is taken out of the sum first, $\log \sum_c e^{a_c} = m + \log \sum_c e^{a_c - m}$ with
# $m = \max_c a_c$, which `torch.logsumexp` does.
#
# ### Exercise · `cross_entropy`
#
# *● · 10 minutes.* Do it by hand: `F.cross_entropy` and its relatives would leave nothing to learn.


# %% exercise="cross_entropy" points=3
def cross_entropy(
    logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, "batch"],
) -> Float[Tensor, ""]:
    """The mean surprise of a classifier at the right labels, −log p(label | x), in nats.

    The probabilities of a row are softmax(logits), so this is log Σ exp(logits) minus the logit
    of the label. It is finite, and so are its gradients, for logits of ±10⁴. Bishop 2006, section
    4.3.4.

    Args:
        logits: scores of the classes (batch, classes), one row for each example; any real
            numbers.
        labels: the index of the right class of each example (batch,), int64.

    Returns:
        A scalar, of shape (): the mean over the batch.
    """
    raise NotImplementedError


# %% [markdown]
# The loss of one bet, beside a loss that you might have chosen: the squared difference from the right answer 1. Look at
# the left end. Who was almost certain of the wrong class pays at most 1 there, and the line is nearly flat when it is
# drawn over the logit, as on the right: the worse the mistake, the *less* there is to learn from it. Cross-entropy has
# its steepest slope exactly there.

# %% tags=["hands-on"]
logit = torch.linspace(-6, 6, 121)
logits = torch.stack([logit, torch.zeros(121)], dim=1)  # of two classes
surprise = [cross_entropy(row[None], torch.tensor([0])).item() for row in logits]
p = logits.softmax(dim=1)[:, 0]
plots.curves(
    {
        "Against the probability": {
            "cross-entropy": (p, surprise),
            "squared error": (p, (1 - p) ** 2),
        },
        "Against the logit": {
            "cross-entropy": (logit, surprise),
            "squared error": (logit, (1 - p) ** 2),
        },
    },
    xlabel=("probability given to the right class", "logit of the right class, of two"),
    ylabel="loss",
    levels={"a coin toss": math.log(2)},
    legend=True,
)

# %% [markdown]
# ## 2 · Architecture, and the way forward
#
# ### Layers
#
# The simplest model is a matrix: $a = W x + b$, one row of **weights** and one **bias** for each class. Row $c$ is a
# template for class $c$, and its logit says how well the image agrees with the template. That is *logistic regression*.
# It reads clean digits tolerably, and it has a limit that was once thought to be the end of the field (Minsky & Papert
# 1969): it can only cut the space of images by flat walls. A class that lies on two sides of another is out of reach.
#
# Put a second matrix behind the first and nothing is gained, for the product of two matrices is a matrix. The trick is
# to bend what comes out of the first, number by number, before it goes into the second. The bend that is used most is
# the **rectified linear unit** (ReLU),
#
# $$\mathrm{ReLU}(z) = \max(0, z) ,$$
#
# a switch: open for positive numbers, shut for negative ones. With it each **hidden unit** is a detector of its own,
# silent until its template is there, and the next layer combines what they found. This is the **multilayer perceptron**
# (MLP):
#
# $$a^{(0)} = x, \qquad z^{(k)} = W^{(k)} a^{(k)} + b^{(k)}, \qquad a^{(k+1)} = \mathrm{ReLU}\big(z^{(k)}\big), \qquad
# k = 0, \dots, L - 1 ,$$
#
# and the $z$ of the last layer are the logits, with no ReLU behind them, for a logit may be negative. One hidden layer
# that is wide enough can come as near as you like to any continuous function (Cybenko 1989; Leshno et al. 1993). *Deep*
# networks need fewer units for the same, since later layers use again what earlier ones have found.
#
# How many layers there are, how wide they are, and what is connected to what, is the **architecture**. Ours connects
# everything with everything. Others build in what one knows of the data: convolutions, which look at every place of an
# image with the same small template; recurrent networks, which read a sequence step by step; attention, which lets each
# word look up others. They are all made of the same parts, linear maps and bends, and are trained in the same way.
#
# ### Where to start
#
# All weights at zero would be a trap. Then all hidden units of a layer answer the same, get the same blame, and change
# in the same way: they stay copies of one another for ever. So one starts at random, to break the symmetry. But how
# large?
#
# Follow the size of the numbers through a layer. If the $n$ weights of a unit are independent with mean 0 and variance
# $v$, its answer has variance $n\, v\, \overline{a^2}$, where $\overline{a^2}$ is the mean square of its inputs. The
# ReLU then shuts half of the units: of a variable that is symmetric around 0 it leaves half of the mean square.
# Altogether a layer multiplies the mean square by $\tfrac12 n v$. After thirty layers a factor of 2 is a factor of
# $10^9$. So choose
#
# $$v = \frac{2}{n}, \qquad n = \text{the number of inputs of the layer}$$
#
# (He et al. 2015, eq. 10), and the numbers stay of one size, however deep the network is.
#
# ### Exercise · `initialize_mlp`
#
# *● · 10 minutes.* Three sizes make two layers. Fence posts!


# %% exercise="initialize_mlp" points=2
def initialize_mlp(
    sizes: list[int],
    *,
    generator: torch.Generator | None = None,
) -> tuple[list[Float[Tensor, "_outputs _inputs"]], list[Float[Tensor, "_outputs"]]]:
    """Weights and biases to start from, for a multilayer perceptron with ReLUs.

    A weight is drawn from a normal distribution with mean 0 and variance 2 / inputs, where
    inputs is the number of inputs of its own layer; all are independent. Biases are 0. He et al.
    2015, equation 10.

    Args:
        sizes: the numbers of inputs, of units in each hidden layer, and of outputs, in that
            order: [64, 32, 10] has two layers of weights.
        generator: the only source of randomness; None is torch's global one.

    Returns:
        The pair (weights, biases): two lists with one float32 tensor for each layer, of shapes
        (outputs, inputs) and (outputs,).
    """
    raise NotImplementedError


# %% [markdown]
# ### Forward propagation
#
# To compute the answer, go from layer to layer. With one example in each row of `x`, a layer is `x @ weight.T + bias`.
#
# On the way we keep everything: what each layer was given and what it answered. The way back will need all of it, and
# this is no detail. It is why training a network takes so much more memory than using it.
#
# ### Exercise · `mlp_forward`
#
# *●● · 15 minutes.* Mind which of the numbers have been through a ReLU.


# %% exercise="mlp_forward" points=3
def mlp_forward(
    x: Float[Tensor, "batch data"],
    weights: list[Float[Tensor, "_outputs _inputs"]],
    biases: list[Float[Tensor, "_outputs"]],
) -> tuple[list[Float[Tensor, "batch _inputs"]], list[Float[Tensor, "batch _outputs"]]]:
    """Send a batch through a multilayer perceptron, and keep what came up on the way.

    Layer k answers z = a Wᵀ + b to its input a, where W is weights[k] and b is biases[k]. The
    first layer's input is x, every other layer's input is the ReLU of the answer of the layer
    before. No ReLU comes after the last layer, whose answers are the logits. One layer alone is
    a linear classifier.

    Args:
        x: the data (batch, data), one example in each row.
        weights: one matrix (outputs, inputs) for each layer, first layer first.
        biases: one vector (outputs,) for each layer.

    Returns:
        The pair (inputs, outputs), two lists with one tensor for each layer: inputs[k] is what
        layer k was given (batch, inputs), outputs[k] what it answered, before any ReLU (batch,
        outputs). So inputs[0] is x, and outputs[-1] are the logits.
    """
    raise NotImplementedError


# %% [markdown]
# Was it worth the trouble to choose the variance? Thirty layers of 100 units, fed with random numbers, and the same
# weights a little smaller and a little larger than He's. A factor of 1.4 in the weights decides between numbers that
# die out and numbers that blow up. (The scale on the left is logarithmic: $-4$ stands for $10^{-4}$.)

# %% tags=["hands-on"]
weights, biases = initialize_mlp([100] * 31, generator=torch.Generator().manual_seed(0))
x = torch.randn(200, 100, generator=torch.Generator().manual_seed(1))
lines = {}
for scale in (1.4, 1.0, 0.7):
    _, outputs = mlp_forward(x, [scale * weight for weight in weights], biases)
    lines[f"{scale:g} × He's"] = [z.std().log10() for z in outputs]
plots.curves(
    {"How far the layers' answers are spread": lines},
    xlabel="layer",
    ylabel="log₁₀ standard deviation",
)

# %% [markdown]
# ## 3 · The way back
#
# Now the heart of the matter. We have a loss, a function of perhaps a million weights, and want to know for each of
# them: if it were a little larger, how would the loss change? All these derivatives together are the **gradient**.
#
# One could simply try: move one weight by a little, send the batch through, see what happened, and go on to the next.
# For a million weights that is a million forward passes, for one step. **Backpropagation** gets all of them, exactly,
# for the price of about two. It is nothing but the chain rule, applied in the right order, and it was found several
# times (Linnainmaa 1970; Werbos 1974) before Rumelhart, Hinton & Williams (1986) showed what it can do for networks
# with hidden units.
#
# The idea: suppose that we knew for some place in the network $\partial L / \partial z$, that is, how the loss changes
# with each number *there*. Then the part that made $z$ out of its input can work out what that means for its input and
# for its own weights, all by itself, knowing nothing of the rest. And then it hands the message on to the part before
# it. So each kind of part needs, besides its forward function, one **backward** function, which turns the derivatives
# by its output into those by its input. We need three. Throughout, a derivative has the same shape as what it is a
# derivative by.
#
# ### At the end: the loss
#
# The message starts at the loss. From $L = \frac1B \sum_n \big( \log \sum_c e^{a_{nc}} - a_{n y_n} \big)$ one reads off
#
# $$\frac{\partial L}{\partial a_{nc}} = \frac1B \big( p_{nc} - [c = y_n] \big) ,$$
#
# where $[c = y_n]$ is 1 for the right class and 0 for the others (Bishop 2006, section 4.3.4). It could not be simpler:
# what the model said, minus what it should have said. The factor $\frac1B$ is there because the loss is a mean. It is
# in here now, and none of the later parts must put it in a second time.
#
# ### Exercise · `cross_entropy_backward`
#
# *● · 10 minutes.*


# %% exercise="cross_entropy_backward" points=3
def cross_entropy_backward(
    logits: Float[Tensor, "batch classes"],
    labels: Int[Tensor, "batch"],
) -> Float[Tensor, "batch classes"]:
    """The gradient of `cross_entropy` with respect to the logits, in closed form.

    The loss is a mean over the batch, so each row is divided by the size of the batch. It is finite
    for logits of ±10⁴. Bishop 2006, section 4.3.4.

    Args:
        logits: scores of the classes (batch, classes).
        labels: the index of the right class of each example (batch,), int64.

    Returns:
        Derivatives of the mean loss (batch, classes), by each logit.
    """
    raise NotImplementedError


# %% [markdown]
# ### Through a linear layer
#
# A linear layer made $z_{no} = \sum_i a_{ni} W_{oi} + b_o$. Where does a weight $W_{oi}$ have an influence? On unit $o$
# of *every* example, each time with strength $a_{ni}$. The chain rule adds up over all the ways by which a number acts
# on the loss, so
#
# $$\frac{\partial L}{\partial W_{oi}} = \sum_n \frac{\partial L}{\partial z_{no}}\, a_{ni}, \qquad
# \frac{\partial L}{\partial b_o} = \sum_n \frac{\partial L}{\partial z_{no}}, \qquad
# \frac{\partial L}{\partial a_{ni}} = \sum_o \frac{\partial L}{\partial z_{no}}\, W_{oi} .$$
#
# Read the first aloud: a weight is to blame as far as its input was active *and* its unit was wrong. The last one runs
# the wires backward: an input is to blame for all the units that it fed.
#
# All three are matrix products or sums. Which one, and what is transposed, you need not remember. Write down the
# shapes, and there is only one way in which they fit.
#
# ### Exercise · `linear_backward`
#
# *●● · 15 minutes.*


# %% exercise="linear_backward" points=4
def linear_backward(
    grad: Float[Tensor, "batch outputs"],
    x: Float[Tensor, "batch inputs"],
    weight: Float[Tensor, "outputs inputs"],
) -> tuple[
    Float[Tensor, "batch inputs"],
    Float[Tensor, "outputs inputs"],
    Float[Tensor, "outputs"],
]:
    """The backward pass of a linear layer z = x Wᵀ + b.

    From the derivatives of a loss by the layer's answers come those by its input, its weights
    and its bias. No mean is taken: whatever the loss averages is in `grad` already. Rumelhart,
    Hinton & Williams 1986.

    Args:
        grad: ∂loss/∂z (batch, outputs).
        x: the layer's input in the forward pass (batch, inputs).
        weight: W (outputs, inputs).

    Returns:
        The triple (∂loss/∂x, ∂loss/∂W, ∂loss/∂b), of shapes (batch, inputs), (outputs, inputs)
        and (outputs,).
    """
    raise NotImplementedError


# %% [markdown]
# ### Through a ReLU
#
# An open switch passes the message on, a shut one stops it. It is shut if its *input* was negative, and that has
# nothing to do with the sign of the message. At exactly 0 there is a kink and no derivative; like everybody, we say 0
# there.
#
# ### Exercise · `relu_backward`
#
# *● · 5 minutes.*


# %% exercise="relu_backward" points=2
def relu_backward(
    grad: Float[Tensor, "batch units"],
    z: Float[Tensor, "batch units"],
) -> Float[Tensor, "batch units"]:
    """The backward pass of a rectified linear unit a = max(0, z).

    Args:
        grad: ∂loss/∂a (batch, units).
        z: the input of the ReLU in the forward pass (batch, units).

    Returns:
        ∂loss/∂z (batch, units): `grad` where z is positive, 0 where it is negative, and 0 where
        it is exactly 0, as in torch.
    """
    raise NotImplementedError


# %% [markdown]
# ### All the way
#
# Put it together: the message comes from the loss, goes through the last linear layer, through the ReLU before it,
# through the linear layer before that, and so on. Each linear layer, as it is passed, leaves the derivatives of its own
# weights and bias. What comes out at the very front is the derivative by the image itself, which seems useless (one
# does not train images), and will turn out to be rather interesting.
#
# ### Exercise · `mlp_backward`
#
# *●●● · 25 minutes.* Use the functions that are passed in (`linear`, `relu`), not yours by name: then other parts can
# be put in, and in grading a mistake in an earlier part is not counted twice.


# %% exercise="mlp_backward" points=4
def mlp_backward(
    grad: Float[Tensor, "batch classes"],
    inputs: list[Float[Tensor, "batch _inputs"]],
    outputs: list[Float[Tensor, "batch _outputs"]],
    weights: list[Float[Tensor, "_outputs _inputs"]],
    *,
    linear: Callable = linear_backward,
    relu: Callable = relu_backward,
) -> tuple[
    Float[Tensor, "batch data"],
    list[Float[Tensor, "_outputs _inputs"]],
    list[Float[Tensor, "_outputs"]],
]:
    """The backward pass of a multilayer perceptron: the chain rule, last layer first.

    Rumelhart, Hinton & Williams 1986.

    Args:
        grad: ∂loss/∂logits (batch, classes).
        inputs: what each layer was given in the forward pass, as `mlp_forward` returns it.
        outputs: what each layer answered, before any ReLU, as `mlp_forward` returns it.
        weights: one matrix (outputs, inputs) for each layer, first layer first.
        linear: your `linear_backward`, or another function that is called like it, as
            linear(grad, x, weight).
        relu: your `relu_backward`, or another function that is called like it, as
            relu(grad, z).

    Returns:
        The triple (grad_x, grad_weights, grad_biases): ∂loss/∂x (batch, data), and two lists
        with the derivatives by the weights and by the biases of each layer, first layer first.
    """
    raise NotImplementedError


# %% [markdown]
# **Trust, but verify.** Whoever writes a backward pass checks it, in double precision, against a quotient of finite
# differences. Below, a network with two hidden layers: the derivative by the largest weight of each layer, three times.
# From your functions; from finite differences, $\big(L(w + h) - L(w - h)\big) / 2h$; and from PyTorch's **automatic
# differentiation**, which does what you have just done, for every function that it knows.

# %% tags=["hands-on"]
rng = torch.Generator().manual_seed(0)
weights, biases = initialize_mlp([PIXELS, 32, 16, 10], generator=rng)
weights, biases = [w.double() for w in weights], [b.double() for b in biases]
x, y = train[0][:50].double().cpu(), train[1][:50].cpu()

inputs, outputs = mlp_forward(x, weights, biases)
message = cross_entropy_backward(outputs[-1], y)
_, by_hand, _ = mlp_backward(message, inputs, outputs, weights)

tracked = [weight.clone().requires_grad_() for weight in weights]
cross_entropy(mlp_forward(x, tracked, biases)[1][-1], y).backward()

print("layer   by hand        by differences   by autograd")
for k, weight in enumerate(weights):
    place = divmod(int(by_hand[k].abs().argmax()), weight.shape[1])
    losses = []
    for h in (1e-5, -1e-5):
        moved = [w.clone() for w in weights]
        moved[k][place] += h
        losses.append(cross_entropy(mlp_forward(x, moved, biases)[1][-1], y).item())
    quotient = (losses[0] - losses[1]) / 2e-5
    automatic = tracked[k].grad[place].item()
    print(f"{k}     {by_hand[k][place]:13.10f}  {quotient:13.10f}    {automatic:13.10f}")

# %% [markdown]
# ## 4 · Downhill
#
# The gradient points in the direction in which the loss rises fastest. So step the other way (Cauchy 1847):
#
# $$\theta \leftarrow \theta - \eta\, \nabla L(\theta) ,$$
#
# where $\eta$ is the **learning rate**. The loss over *all* examples need not be known for that. A **minibatch**, some
# dozens of examples drawn at random, gives a gradient that is right on average, and so much cheaper that it pays to
# take many rough steps instead of a few exact ones. This is **stochastic gradient descent**, SGD (Robbins & Monro
# 1951).
#
# ### Momentum and decay
#
# Loss surfaces are full of ravines: steep across, shallow along. A step that is small enough not to leap from wall to
# wall is much too small for the way along. **Momentum** (Polyak 1964) gives the weights the inertia of a ball. The
# velocity $v$ sums up past gradients and forgets them slowly; what changes its sign at each step cancels out, what
# points the same way again and again adds up, to $1 / (1 - \mu)$ times a single step. **Weight decay** adds a pull
# towards 0, the gradient of a penalty $\tfrac{\lambda}{2} \lVert \theta \rVert^2$ on large weights. Both together:
#
# $$v \leftarrow \mu\, v + \nabla L(\theta) + \lambda\, \theta, \qquad \theta \leftarrow \theta - \eta\, v .$$
#
# Textbooks and libraries disagree on where the learning rate goes and whether the gradient is weighted by $1 - \mu$.
# This is the form that PyTorch has.
#
# ### Exercise · `sgd_step`
#
# *● · 10 minutes.*


# %% exercise="sgd_step" points=3
def sgd_step(
    param: Float[Tensor, "*shape"],
    grad: Float[Tensor, "*shape"],
    velocity: Float[Tensor, "*shape"],
    *,
    learning_rate: float,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """One step of stochastic gradient descent, with momentum and weight decay.

        v ← momentum · v + (grad + weight_decay · param)
        param ← param − learning_rate · v

    The second line uses the new v. These are the steps of torch.optim.SGD (Polyak 1964; Sutskever
    et al. 2013).

    Args:
        param: weights, of any shape.
        grad: the gradient of the loss with respect to them.
        velocity: v as the step before returned it; zeros before the first step.
        learning_rate: the size of a step.
        momentum: how much of the velocity is kept, in [0, 1).
        weight_decay: the weight of a penalty ½‖param‖² in the loss.

    Returns:
        The pair (param, velocity) after the step: new tensors, the arguments stay as they are.
    """
    raise NotImplementedError


# %% [markdown]
# ### Adam
#
# One learning rate for a million weights is a compromise, too. Some weights get large gradients all the time, others
# small ones now and then. **Adam** (Kingma & Ba 2015) gives each its own. It keeps two running means for every weight,
# of the gradient and of its square,
#
# $$m \leftarrow \beta_1 m + (1 - \beta_1)\, g, \qquad s \leftarrow \beta_2 s + (1 - \beta_2)\, g^2,$$
#
# and divides the one by the root of the other: a weight whose gradients are a thousand times as large moves no faster.
# What decides is how well successive gradients *agree*: if they always point the same way the quotient is $\pm 1$, if
# they contradict each other it is near 0.
#
# Both means start from 0, so at first they are far too small. After $t$ steps of a constant gradient $m$ is only
# $(1 - \beta_1^t)\, g$, as you can sum up yourself. Hence divide by just that (**bias correction**) before they are
# used:
#
# $$\hat m = \frac{m}{1 - \beta_1^t}, \qquad \hat s = \frac{s}{1 - \beta_2^t}, \qquad
# \theta \leftarrow \theta - \eta\, \frac{\hat m}{\sqrt{\hat s} + \epsilon} .$$
#
# Without it the two errors do not cancel: with the usual $\beta_1 = 0.9$ and $\beta_2 = 0.999$ the first step would be
# $0.1 / \sqrt{0.001} \approx 3$ times too long.
#
# ### Exercise · `adam_step`
#
# *●● · 15 minutes.* The means are passed on as they are, with their bias. The corrected ones serve for the step alone.


# %% exercise="adam_step" points=4
def adam_step(
    param: Float[Tensor, "*shape"],
    grad: Float[Tensor, "*shape"],
    mean: Float[Tensor, "*shape"],
    square: Float[Tensor, "*shape"],
    step: int,
    *,
    learning_rate: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
) -> tuple[Float[Tensor, "*shape"], Float[Tensor, "*shape"], Float[Tensor, "*shape"]]:
    """One step of Adam.

    With β₁, β₂ = betas, t = step, and every operation element by element,

        mean ← β₁ · mean + (1 − β₁) · grad
        square ← β₂ · square + (1 − β₂) · grad²
        param ← param − learning_rate · m / (√s + eps)

    where m = mean / (1 − β₁ᵗ) and s = square / (1 − β₂ᵗ) are the new averages without their bias
    towards 0. eps stands outside the square root. These are the steps of torch.optim.Adam
    (Kingma & Ba 2015, algorithm 1).

    Args:
        param: weights, of any shape.
        grad: the gradient of the loss with respect to them.
        mean: the running mean of the gradient, as the step before returned it; zeros before the
            first step.
        square: the running mean of the squared gradient, likewise.
        step: the number of this step, 1 at the first.
        learning_rate: the size of a step.
        betas: how much of each running mean is kept at a step, each in [0, 1).
        eps: keeps the quotient finite where the gradient was always 0.

    Returns:
        The triple (param, mean, square) after the step, the averages with their bias: new
        tensors, the arguments stay as they are.
    """
    raise NotImplementedError


# %% [markdown]
# A ravine, $L(x_1, x_2) = \tfrac12 (x_1^2 / 50 + x_2^2)$, and three ways through it, fifty steps each. Plain SGD leaps
# from wall to wall and hardly gets on. With momentum it swings wide at first, then runs along the bottom. Adam rescales
# each direction, and so it sets out along the diagonal, as if the valley were as steep along as it is across.

# %% tags=["hands-on"]
slopes = torch.tensor([1 / 50, 1.0])
start = torch.tensor([-4.5, 1.8])
ways = {"SGD": [start], "SGD with momentum": [start], "Adam": [start]}
velocity = mean = square = torch.zeros(2)
for t in range(1, 51):
    last = {name: way[-1] for name, way in ways.items()}
    gradient = {name: slopes * place for name, place in last.items()}
    zero = torch.zeros(2)
    plain, _ = sgd_step(last["SGD"], gradient["SGD"], zero, learning_rate=1.85)
    rolling, velocity = sgd_step(
        *(part["SGD with momentum"] for part in (last, gradient)),
        velocity,
        learning_rate=0.25,
        momentum=0.9,
    )
    adaptive, mean, square = adam_step(
        *(part["Adam"] for part in (last, gradient)),
        mean,
        square,
        t,
        learning_rate=0.12,
    )
    for name, place in zip(ways, (plain, rolling, adaptive), strict=True):
        ways[name].append(place)

x1, x2 = torch.linspace(-5, 1.5, 131), torch.linspace(-2.2, 2.2, 89)
height = 0.5 * (x1**2 / 50 + x2[:, None] ** 2)
plots.contours(
    height,
    x1,
    x2,
    xlabel="$x_1$",
    ylabel="$x_2$",
    levels=(0.02, 0.1, 0.3, 0.6, 1, 1.5, 2),
    paths={name: torch.stack(way) for name, way in ways.items()},
    title="Three ways through a ravine",
)

# %% [markdown]
# ### A network trained by hand
#
# Now the whole: draw a minibatch, go forward, go backward, step, and again. There is no autograd in the cell below.
# Every derivative in it is yours. The network has twelve hidden units, so that it can be drawn.

# %% tags=["hands-on"]


def momentum(param, grad, state, t):
    """SGD with momentum; the state of a parameter is its velocity."""
    velocity = torch.zeros_like(param) if state is None else state
    return sgd_step(param, grad, velocity, learning_rate=0.05, momentum=0.9)


def plain(param, grad, state, t):
    """SGD, with the same learning rate but no momentum."""
    return sgd_step(param, grad, torch.zeros_like(param), learning_rate=0.05)


def adam(param, grad, state, t):
    """Adam; the state of a parameter is its two running means."""
    mean, square = state or (torch.zeros_like(param), torch.zeros_like(param))
    param, *state = adam_step(param, grad, mean, square, t, learning_rate=0.005)
    return param, state


def train_by_hand(name, update, *, hidden=12, batch_size=64):
    """Train on the digits: weights, biases, and the loss of each step."""
    rng = torch.Generator().manual_seed(0)
    weights, biases = initialize_mlp([PIXELS, hidden, 10], generator=rng)
    params = [param.to(DEVICE) for param in (*weights, *biases)]
    states = [None] * len(params)
    losses = []
    images, labels = train
    for _ in tqdm(range(max(1, round(BUDGET / len(images)))), desc=name):
        for rows in torch.randperm(len(images), generator=rng).split(batch_size):
            x, y = images[rows.to(DEVICE)], labels[rows.to(DEVICE)]
            weights, biases = params[:2], params[2:]
            inputs, outputs = mlp_forward(x, weights, biases)
            losses.append(cross_entropy(outputs[-1], y).item())
            message = cross_entropy_backward(outputs[-1], y)
            _, grad_weights, grad_biases = mlp_backward(message, inputs, outputs, weights)
            for i, grad in enumerate((*grad_weights, *grad_biases)):
                params[i], states[i] = update(params[i], grad, states[i], len(losses))
    return params[:2], params[2:], torch.tensor(losses)


def smooth(values, width=20):
    """The running mean of a list of numbers."""
    return torch.as_tensor(values).unfold(0, min(width, len(values)), 1).mean(dim=1)


def share_right(logits, labels):
    """The accuracy: the share of examples whose largest logit is that of the right class."""
    return (logits.argmax(dim=1) == labels).float().mean().item()


trained = {}
for name, update in (("SGD", plain), ("momentum", momentum), ("Adam", adam)):
    trained[name] = train_by_hand(name, update)
    weights, biases, _ = trained[name]
    accuracy = share_right(mlp_forward(test[0], weights, biases)[1][-1], test[1])
    print(f"{name}: {accuracy:.1%} of the test images are read rightly")
plots.curves(
    {"Training by hand": {name: smooth(losses) for name, (_, _, losses) in trained.items()}},
    xlabel="step",
    ylabel="loss, nats",
    levels={"guessing": math.log(10)},
)

# %% [markdown]
# The same picture as at the beginning, with the weights that Adam found, and the same image.

# %% tags=["hands-on"]
weights, biases, _ = trained["Adam"]
inputs, outputs = mlp_forward(test[0][:1], weights, biases)
chances = torch.softmax(outputs[-1][0], dim=0)
plots.perceptron(test[0][0], inputs[1][0], chances, SIZE, title="A network that has learnt to read")

# %% [markdown]
# **What hidden units see.** The weights of a hidden unit are an image of what it looks for: ink where it is dark, paper
# where it is light, grey where it does not care. Compare the rows. At the start all is noise, and after training much
# of the noise is still there: where a digit never has ink the loss does not mind what a weight is, so it stays as it
# was. Weight decay wipes out whatever is not needed, even whole units, and strokes come out. Few units look for one
# digit. They look for ink here and none there, and most digits are spelt in several of them. (Below are the images that
# excite each unit of the last network most. Of a unit that is all grey they say nothing.)

# %% tags=["hands-on"]


def decayed(param, grad, state, t):
    """SGD with momentum and weight decay."""
    velocity = torch.zeros_like(param) if state is None else state
    options = {"learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.004}
    return sgd_step(param, grad, velocity, **options)


def as_images(weights):
    """Weights as images: grey is 0, ink is positive, paper negative."""
    return (weights / weights.std() / 6 + 0.5).clamp(0, 1)


seen = {
    "at the start": initialize_mlp([PIXELS, 12, 10], generator=torch.Generator().manual_seed(0))[0],
    "with momentum": trained["momentum"][0],
}
trained["decay"] = train_by_hand("weight decay", decayed)
weights, biases, _ = trained["decay"]
seen["and weight decay"] = weights
seen = {name: as_images(layers[0]) for name, layers in seen.items()}
activity = mlp_forward(test[0], weights, biases)[0][1]  # of the hidden units (images, units)
favourites = test[0][activity.argsort(dim=0, descending=True)[:3]]  # (3, units, pixels)
ranks = ("most exciting image", "second", "third")
rows = dict(zip(ranks, favourites, strict=True))
plots.strips({**seen, **rows}, SIZE, title="What twelve hidden units look for")

# %% [markdown]
# **Blame the pixels.** `mlp_backward` also returns the derivative by the image. So keep the weights as they are, and
# train the *image*: step by step, make the network surer that it shows an 8, until it is 95% sure. If it had understood
# what an 8 is, an 8 would appear. Instead it is content with a haze here and a missing corner there, and to us the
# images stay what they were. Such images are called *adversarial examples* (Szegedy et al. 2014), and large networks
# are deceived by changes that no eye can see. With weight decay the changes are somewhat more to the point: they put
# ink into the middle and close loops. Remember this trick, of following a network's gradient into its input. With
# better networks it is a way to paint, and you will meet it again in the adversarial networks and in the guidance of
# diffusion models.

# %% tags=["hands-on"]
shown = torch.stack([(test[1] == digit).nonzero()[1, 0] for digit in (0, 1, 2, 3, 4, 5, 6, 7, 9)])
images = test[0][shown]


def deceive(weights, biases, target):
    """Small steps down the loss of `target`, taken by the images, until each is taken for one."""
    changed, labels = images.clone(), torch.full((len(images),), target, device=DEVICE)
    for _ in range(300):
        inputs, outputs = mlp_forward(changed, weights, biases)
        unsure = outputs[-1].softmax(dim=1)[:, [target]] < 0.95
        message = cross_entropy_backward(outputs[-1], labels)
        grad, _, _ = mlp_backward(message, inputs, outputs, weights)
        step = 0.05 * grad / grad.norm(dim=1, keepdim=True).clamp(min=1e-12)
        changed = torch.where(unsure, (changed - step).clamp(0, 1), changed)
    return changed


rows = {"image": images}
for name, label in (("momentum", "without decay"), ("decay", "with decay")):
    changed = deceive(*trained[name][:2], 8)
    rows[f"change, {label}"] = (changed - images + 0.5).clamp(0, 1)
    rows[f"“8”, {label}"] = changed
plots.strips(rows, SIZE, title="What makes an 8 of it, to the network")

# %% [markdown] question="diagnosis" points=3
# ### Question · Three patients
#
# Three networks of this section, each trained on the ten digits, fell ill. In the first, the loss stands at 2.30 nats
# from the first step to the last. In the second, all weights were started at the same value 0.1; the loss falls a
# little and then no further, and the twelve pictures of hidden units look all alike. In the third, the loss is `nan`
# from step 40 on. For each of them: what does the symptom say, which cause is likely, and what would you look at or
# print first to make sure? For the first, name two different causes that would look the same in the curve.
#
# *3 points: one for each patient, if the cause explains the symptom (the number, the sameness, the step at which it
# happens) and the proposed look would tell it from another cause.*

# %% [markdown]
# ## 5 · The same in PyTorch, and does it generalise?
#
# You now know what is under the hood, so you may close it. In PyTorch a network is an `nn.Module`, which holds its
# parameters; calling it goes forward and records what was done; `loss.backward()` goes back and leaves in each
# parameter its `.grad`; and an optimiser takes the step. Three habits are needed, and forgetting them are the three
# most common mistakes:
#
# - `backward()` *adds* to `.grad`, so the gradients of the last step have to be cleared before the next;
# - some layers (dropout, batch normalisation) behave differently in training, so a module has two modes,
#   `model.train()` and `model.eval()`;
# - a number kept for the log, such as a loss, drags its whole graph along unless `.item()` takes the number out of it.
#
# Each pass over the training data is an **epoch**, in a new random order each time. After each, the loop tells somebody
# how it went, through a **callback**: whoever trains can draw a curve, save the model, or say "enough". A mean loss
# over an epoch should count every image once. The last minibatch is often smaller, so a mean of the means would not be
# right.
#
# ### Exercise · `train_classifier`
#
# *●●● · 25 minutes.* The first loop of many. Use the `loss` that is passed in.


# %% exercise="train_classifier" points=4
def train_classifier(
    model: nn.Module,
    images: Float[Tensor, "n data"],
    labels: Int[Tensor, "n"],
    *,
    epochs: int,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    generator: torch.Generator | None = None,
    on_epoch: Callable[[int, float], bool | None] | None = None,
    loss: Callable = cross_entropy,
) -> list[float]:
    """Train a classifier in place, by Adam on minibatches.

    Each epoch passes once over all images in a fresh random order, in minibatches; the last may
    be smaller. A minibatch is one step that minimises loss(model(x), y). The model is in training
    mode while it learns, and in evaluation mode whenever `on_epoch` is called and afterwards. The
    same generator in the same state gives the same order.

    Args:
        model: model(x) gives logits (batch, classes).
        images: data (n, data).
        labels: the index of the right class of each image (n,), int64.
        epochs: passes over the data, at most.
        batch_size: images in a minibatch.
        learning_rate: Adam's; its other settings are torch's defaults.
        generator: source of the order of the images, on the CPU whatever the images' device;
            None is torch's global one.
        on_epoch: called as on_epoch(epoch, mean loss) after each epoch, counting from 0. If it
            returns True, training ends there.
        loss: your `cross_entropy`, or another function that is called like it: loss(logits,
            labels) is the mean over a minibatch.

    Returns:
        For each epoch that was made the mean loss over all images, as measured on each minibatch
        just before its step: every image counts the same, also those of a smaller minibatch.
    """
    raise NotImplementedError


# %% [markdown]
# First, the proof that nothing is hidden. The same architecture in PyTorch, the same random start, the same order of
# the images: the losses are those of the network that you trained by hand, to the last digits that `float32` can hold.
# (If yours differ after a few of them, the order of the images was drawn in another way.)

# %% tags=["hands-on"]


def network(*sizes, seed=0):
    """An MLP of torch's modules, with weights that your `initialize_mlp` drew."""
    rng = torch.Generator().manual_seed(seed)
    layers = []
    for weight, bias in zip(*initialize_mlp(list(sizes), generator=rng), strict=True):
        layer = nn.Linear(weight.shape[1], weight.shape[0])
        layer.load_state_dict({"weight": weight, "bias": bias})
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1]).to(DEVICE), rng


EPOCHS = max(1, round(BUDGET / len(train[0])))
model, rng = network(PIXELS, 12, 10)
torch_history = train_classifier(model, *train, epochs=EPOCHS, learning_rate=0.005, generator=rng)
count = len(trained["Adam"][2]) // EPOCHS  # minibatches in an epoch
by_hand = trained["Adam"][2].view(EPOCHS, count)
shares = torch.tensor([len(rows) for rows in torch.arange(len(train[0])).split(64)])
by_hand = (by_hand * shares).sum(dim=1) / len(train[0])
print("epoch    by hand    PyTorch")
for epoch in range(0, EPOCHS, max(1, EPOCHS // 6)):
    print(f"{epoch + 1:5}   {by_hand[epoch]:.6f}   {torch_history[epoch]:.6f}")

# %% [markdown]
# ### Walls that bend
#
# Two numbers instead of 64 pixels, so that everything can be seen. Three classes wind around one another. Without a
# hidden layer the walls between the classes are straight. Three hidden units can bend them a few times. Two layers of
# 32 wind along. Note what each says far from all examples: it is quite sure of itself, where it knows nothing.

# %% tags=["hands-on"]
rng = torch.Generator().manual_seed(0)
turn = torch.rand(300, generator=rng)
kinds = torch.arange(300) % 3
angle = 4.2 * turn + kinds * 2 * math.pi / 3 + 0.15 * torch.randn(300, generator=rng)
points = (0.3 + 2.2 * turn)[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1)

panels = {}
for name, hidden in (("No hidden layer", ()), ("3 hidden units", (3,)), ("32 and 32", (32, 32))):
    model, rng = network(2, *hidden, 3)
    arms = points.to(DEVICE), kinds.to(DEVICE)
    epochs = max(1, BUDGET // 500)
    options = {"epochs": epochs, "batch_size": 50, "learning_rate": 0.01, "generator": rng}
    train_classifier(model, *arms, **options)
    right = share_right(model(arms[0]), arms[1])
    panels[f"{name}: {right:.0%} right"] = lambda x, model=model: model(x.to(DEVICE)).softmax(dim=1)
plots.regions(panels, points, kinds, extent=3)

# %% [markdown]
# ### Learning too much
#
# A network with more weights than examples can learn them all by heart, even if the labels are drawn at random (Zhang
# et al. 2017). How would one notice? By examples that it does not train on: the **validation set**. The callback
# measures the loss there after each epoch. Below, the same network twice: on all the training images, and on two
# hundred, every fifth of which bears a wrong label, as happens when labels are made by the thousand.

# %% tags=["hands-on"]


@torch.no_grad()
def measure(model, part):
    """The loss and the accuracy on a part of the data."""
    logits = model(part[0])
    return cross_entropy(logits, part[1]).item(), share_right(logits, part[1])


def learning_curves(name, images, labels, *, epochs):
    """Train a wide network; returns it, and its losses in training and in validation."""
    model, rng = network(PIXELS, 128, 10)
    held_out = []
    with tqdm(total=epochs, desc=name) as bar:

        def on_epoch(epoch, loss):
            held_out.append(measure(model, validation)[0])
            bar.update()

        options = {"epochs": epochs, "learning_rate": 0.004, "generator": rng}
        losses = train_classifier(model, images, labels, on_epoch=on_epoch, **options)
    return model, {"training": losses, "validation": held_out}


few = train[0][:200], train[1][:200].clone()
few[1][::5] = (few[1][::5] + 1 + torch.arange(40, device=DEVICE) % 9) % 10  # every fifth is wrong
full_model, full_curves = learning_curves("all images", *train, epochs=EPOCHS)
few_model, few_curves = learning_curves("200 images", *few, epochs=max(2, BUDGET // 400))
plots.curves(
    {f"{len(train[0])} images": full_curves, "200 images, 40 wrong labels": few_curves},
    xlabel="epoch",
    ylabel="loss, nats",
)

# %% [markdown]
# On the right the training loss goes on falling, because the network learns the wrong labels, too: by heart, there is
# no other way. The validation loss falls first, as long as it learns what is common to the images, and then *rises*: it
# grows ever surer of what is wrong. This is **overfitting**. The remedies are more data, fewer weights, weight decay,
# and the cheapest of all, **early stopping**: end when the validation loss has not fallen for a while. That is what the
# callback's answer is for. (In earnest one would keep a copy of the best weights, too.)

# %% tags=["hands-on"]


def patience(model, epochs_to_wait, record):
    """A callback that stops once the validation loss has not fallen for so many epochs."""

    def on_epoch(epoch, loss):
        record.append(measure(model, validation)[0])
        best = min(range(len(record)), key=record.__getitem__)
        return epoch - best >= epochs_to_wait

    return on_epoch


stopped, rng = network(PIXELS, 128, 10)
record = []
options = {"learning_rate": 0.004, "generator": rng, "on_epoch": patience(stopped, 5, record)}
train_classifier(stopped, *few, epochs=BUDGET // 400, **options)
print(f"stopped after {len(record)} epochs\n")
print("trained on                     loss    accuracy (on the validation images)")
results = {"200 images": few_model, "200 images, stopped early": stopped}
for name, model in {**results, f"{len(train[0])} images": full_model}.items():
    loss, accuracy = measure(model, validation)
    print(f"{name:27}  {loss:6.3f}    {accuracy:.1%}")

# %% [markdown]
# Where does the good one err? In the table each row is a digit as it was written, each column what the network read, in
# per cent of the row. And here are the test images that it was most wrongly sure of, with what was written → what was
# read. Some of them you would have got wrong, too.

# %% tags=["hands-on"]
with torch.no_grad():
    chances = full_model(test[0]).softmax(dim=1).cpu()
written, read = test[1].cpu(), chances.argmax(dim=1)
confusion = (F.one_hot(written, 10).T @ F.one_hot(read, 10)).float()
names = [str(digit) for digit in range(10)]
plots.matrices(
    {"Written and read, %": confusion / confusion.sum(dim=1, keepdim=True)},
    rows=names,
    columns=names,
    xlabel="read",
    ylabel="written",
    numbers=True,
)

# %% tags=["hands-on"]
belief = chances.gather(1, written[:, None])[:, 0]
worst = [i for i in belief.argsort().tolist() if read[i] != written[i]][:14]
captions = [f"{written[i]} → {read[i]}" for i in worst]
plots.strips({"": test[0][worst]}, SIZE, captions=captions, title="The worst mistakes")

# %% [markdown]
# ## 6 · The knobs that training does not turn
#
# Learning rate, width, depth, batch size, weight decay: these **hyperparameters** are chosen from outside, and the
# gradient says nothing about them. They are found by trying. The oldest plan is a **grid**: a few values for each, and
# every combination. It grows quickly: five values of four hyperparameters are 625 trainings. And it wastes most of
# them, for usually one or two hyperparameters matter and the others hardly do; of nine trials in a 3 × 3 grid only
# *three* differ in the one that matters. **Random search** draws settings at random, and almost all of them tell
# something new (Bergstra & Bengio 2012).
#
# Three rules keep the search honest:
#
# - Compare by the **validation set**. Never by the training loss, which likes whatever overfits.
# - Keep the whole **table**, not only the winner. It tells how much each knob matters, and whether the winner stands at
#   the edge of the grid, so that the grid should have gone on.
# - Some settings will fail. A training that diverges scores `nan`, and every comparison with `nan` is false, so a
#   careless `max` may well return it, depending on the order.
#
# ### Exercise · `search_hyperparameters`
#
# *●● · 20 minutes.* `itertools.product` makes all combinations, `evaluate(**setting)` passes a dictionary as arguments.


# %% exercise="search_hyperparameters" points=3
def search_hyperparameters(
    evaluate: Callable[..., float],
    grid: dict[str, list[Any]],
    *,
    trials: int | None = None,
    generator: torch.Generator | None = None,
) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Try settings of hyperparameters, and say which is best: a grid search or a random search.

    A setting takes one value from each list of the grid. Each setting that is tried is evaluated
    once, as evaluate(**setting). Bergstra & Bengio 2012 compare the two kinds of search.

    Args:
        evaluate: returns the score of a setting, the higher the better; NaN if training failed.
        grid: for each name of a hyperparameter the values to try, a list without repetitions. No
            name is "score".
        trials: None tries all settings, in the order of itertools.product: the last name changes
            fastest. A number tries so many different settings, or all if there are not so many,
            drawn at random without repetition, each set of that size with the same probability.
        generator: the only source of randomness; None is torch's global one.

    Returns:
        The pair (best, table). The table has one row for each setting that was tried, in the
        order in which they were tried: the setting with its score added, under the key "score".
        Best is the row with the highest score, the first such row if there are several; a score
        of NaN is never best, and best is None if there is no other.

    Raises:
        ValueError: if a list of the grid is empty, before anything is evaluated.
    """
    raise NotImplementedError


# %% [markdown]
# Twenty trainings, on a quarter of the budget each, and the accuracy on the validation images in per cent.

# %% tags=["hands-on"]
GRID = {
    "learning_rate": [0.0001, 0.001, 0.01, 0.1, 1.0],
    "width": [2, 8, 32, 128],
}
bar = tqdm(total=20, desc="grid search")


def try_out(learning_rate, width):
    """The accuracy on the validation images after a short training."""
    model, rng = network(PIXELS, width, 10)
    epochs = max(1, EPOCHS // 4)
    options = {"epochs": epochs, "learning_rate": learning_rate, "generator": rng}
    train_classifier(model, *train, **options)
    bar.update()
    return measure(model, validation)[1]


best, table = search_hyperparameters(try_out, GRID)
bar.close()
for row in sorted(table, key=lambda row: -row["score"])[:5]:
    print(f"learning rate {row['learning_rate']:<7g} width {row['width']:<4}  {row['score']:.1%}")
plots.matrices(
    {"Validation accuracy, %": torch.tensor([row["score"] for row in table]).view(5, 4)},
    rows=[f"{rate:g}" for rate in GRID["learning_rate"]],
    columns=[str(width) for width in GRID["width"]],
    xlabel="hidden units",
    ylabel="learning rate",
    numbers=True,
)

# %% [markdown]
# The learning rate decides between everything and nothing, and its best value depends on the width. Always search it on
# a logarithmic scale, and always first.
#
# How many of the twenty trainings were needed? The table is there, so random searches cost nothing now: a thousand of
# each length, on average.

# %% tags=["hands-on"]
score_of = {(row["learning_rate"], row["width"]): row["score"] for row in table}


def look_up(learning_rate, width):
    """The score of a setting, from the table."""
    return score_of[learning_rate, width]


rng = torch.Generator().manual_seed(0)
found = []
for trials in range(1, 21):
    options = {"trials": trials, "generator": rng}
    winners = [search_hyperparameters(look_up, GRID, **options)[0] for _ in range(1000)]
    found.append(100 * sum(row["score"] for row in winners) / len(winners))
plots.curves(
    {"How good is the best of so many random trials?": {"": found}},
    xlabel="trials",
    ylabel="validation accuracy, %",
    levels={"the whole grid": 100 * best["score"]},
)

# %% [markdown]
# Ten are as good as twenty. Now, once, and at the very end, the **test set**: train with the winner on the whole
# budget, and measure. The number below is the one to report.

# %% tags=["hands-on"]
model, rng = network(PIXELS, best["width"], 10)
options = {"epochs": EPOCHS, "learning_rate": best["learning_rate"], "generator": rng}
train_classifier(model, *train, **options)
print(f"accuracy on the test images: {measure(model, test)[1]:.1%}")

# %% [markdown] question="honest_numbers" points=3
# ### Question · An honest number
#
# A colleague has tried two hundred settings and chosen the one with the highest accuracy on the *test* images, 99.1%.
# It is what he reports. Why is the number too good, although no image of the test set was ever trained on? Say on what
# the size of the error depends: what if he had tried two settings, or a million, and what if the test set had a hundred
# times as many images? Then describe how he should have proceeded, and what he could still do now.
#
# *3 points: one for why choosing by a set spoils it as a judge; one for the two dependences, with reasons; one for a
# sound procedure and a sound rescue.*

# %% [markdown]
# ## 7 · Learning without answers
#
# Take the labels away. What is there to learn from images alone? That they are not spread evenly: they come in kinds.
# **Clustering** looks for the kinds. It is the smallest example of *unsupervised learning*, and of a generative model,
# too: every image is thought to come from one of $K$ hidden causes, whose traces one sees but whose names one is never
# told.
#
# ### Two steps that help each other
#
# Suppose that each kind has a centre, its **centroid** $\mu_k$, and that every point belongs to the nearest one. A good
# set of centroids makes the points' distances small:
#
# $$J = \sum_n \min_k \lVert x_n - \mu_k \rVert^2 .$$
#
# There are two unknowns, who belongs where and where the centres are, and each would be easy if the other were known.
# **k-means** (Lloyd 1982, from 1957) simply alternates:
#
# 1. *assign* each point to the nearest centroid;
# 2. *move* each centroid to the mean of its points, since no place has a smaller sum of squared distances to them than
#    the mean has.
#
# Neither step can raise $J$, and there are only finitely many ways to assign, so it comes to rest. Not necessarily at
# the best place: it depends on the start. (If the assignment is made soft, by probabilities, this is the EM algorithm
# for a mixture of Gaussians. And alternating between guessing the hidden cause and improving the model is just what a
# variational autoencoder will do.)
#
# A centroid may be left with no points, and a mean over nothing is no number. There are several customs; ours is to
# leave such a centroid where it is.
#
# ### Exercise · `kmeans_step`
#
# *●● · 15 minutes.* One round: both steps, in this order.


# %% exercise="kmeans_step" points=3
def kmeans_step(
    points: Float[Tensor, "n dim"],
    centroids: Float[Tensor, "clusters dim"],
) -> tuple[Int[Tensor, "n"], Float[Tensor, "clusters dim"]]:
    """One round of k-means: give each point to the nearest centroid, then move the centroids.

    Nearest is by Euclidean distance to the centroids that came in. Then each centroid moves to
    the mean of the points that were given to it; one that was given none stays where it is. Lloyd
    1982.

    Args:
        points: the data (n, dim).
        centroids: the centres of the clusters before the round (clusters, dim).

    Returns:
        The pair (labels, centroids): for each point the index (int64) of the centroid that it was
        given to (n,), any of the nearest if several are equally near, and the new centroids
        (clusters, dim).
    """
    raise NotImplementedError


# %% [markdown]
# Ten centroids, started on ten images drawn at random. A centroid is a mean of images, so it can be looked at.

# %% tags=["hands-on"]
images, labels = train[0][:2000], train[1][:2000].cpu()


def cluster(seed, rounds=20):
    """Rounds of k-means from ten images: the centroids and the mean squared distance after each."""
    rng = torch.Generator().manual_seed(seed)
    centroids = images[torch.randperm(len(images), generator=rng)[:10].to(DEVICE)]
    film, distances = [centroids], []
    for _ in range(rounds):
        _, centroids = kmeans_step(images, centroids)
        film.append(centroids)
        distances.append(torch.cdist(images, centroids).square().amin(dim=1).mean().item())
    return film, distances


runs = [cluster(seed) for seed in range(6)]
film = min(runs, key=lambda run: run[1][-1])[0]
shown = {f"round {k}" if k else "start": film[k] for k in (0, 1, 2, 5, 20)}
plots.strips(shown, SIZE, title="Ten centroids on their way")

# %% [markdown]
# Six starts: each falls and comes to rest, but not at the same height. So one runs k-means several times and keeps the
# best.

# %% tags=["hands-on"]
plots.curves(
    {"Six random starts": {f"{n}": distances for n, (_, distances) in enumerate(runs, start=1)}},
    xlabel="round",
    ylabel="mean squared distance",
    legend=True,
)

# %% [markdown]
# Did it find the ten digits? The labels were not used, but we may look at them now. Each row is a cluster, with its
# centroid's most frequent digit as its name. Most clusters are nearly pure. Some digits are written in two ways and get
# two clusters, and then two others, which look alike, must share one: nobody has said that it is *digits* that count,
# and not, say, slant. Now count what was needed: to name ten clusters takes ten labels instead of thousands.

# %% tags=["hands-on"]
belongs, _ = kmeans_step(images, film[-1])
belongs = belongs.cpu()
shares = F.one_hot(belongs, 10).T @ F.one_hot(labels, 10)  # (clusters, digits)
name_of = shares.argmax(dim=1)
right = (name_of[belongs] == labels).float().mean()
print(f"{right:.1%} of the images bear the name of their cluster")
order = name_of.argsort()
plots.matrices(
    {"Clusters and digits, %": (shares / shares.sum(dim=1, keepdim=True).clamp(min=1))[order]},
    rows=[f"“{name_of[k]}”" for k in order],
    columns=[str(digit) for digit in range(10)],
    xlabel="digit",
    ylabel="cluster",
    numbers=True,
)

# %% [markdown]
# ## 8 · Learning from reward
#
# The third kind of learning has neither answers nor mere data. It has a world, and it has to *act* in it. Nobody says
# what would have been right. Now and then there is a reward, often long after the decision that earned it. Thus
# programs have learnt to play backgammon, video games and Go (Mnih et al. 2015; Silver et al. 2016), and thus language
# models are taught to be helpful, which is what the assignment on reinforcement learning is about. Here you meet the
# idea in the smallest world that shows it.
#
# A walker stands on squared paper. At each move it is in a **state** $s$ (its square), chooses an **action** $a$ (up,
# right, down, left), earns a **reward** $r$, and comes to a next state $s'$. There is a prize of $+1$ and there are
# traps of $-1$; either ends the **episode**. A reward that comes $k$ moves later counts only $\gamma^k$ times, so it
# pays to hurry. The walker has no map. It does not even know what the actions do, and one move in ten goes astray.

# %% tags=["hands-on"]
MAP = (
    "......",
    ".##.-.",
    ".#..-+",
    "@.....",
)
world = data.GridWorld(MAP, slip=0.1)
plots.grid_world(world, {"A world to find out about": (None, None)})

# %% [markdown]
# ### To try or to trust
#
# Suppose that the walker has an opinion of what each action is worth in each state, a table $Q(s, a)$. Should it do
# what seems best? If it always does it will never find out about anything better. This is the dilemma of
# **exploration** and exploitation, and the simplest way to live with it is **ε-greedy**: with a small probability
# $\varepsilon$ do something at random, otherwise what seems best.
#
# ### Exercise · `epsilon_greedy`
#
# *● · 5 minutes.* What was drawn is passed in, so the result is no matter of chance.


# %% exercise="epsilon_greedy" points=2
def epsilon_greedy(
    values: Float[Tensor, "batch actions"],
    epsilon: float,
    uniform: Float[Tensor, "batch"],
    random_actions: Int[Tensor, "batch"],
) -> Int[Tensor, "batch"]:
    """Choose actions: mostly the best known, now and then any. Sutton & Barto 2018, section 2.2.

    Args:
        values: what each action is thought to be worth (batch, actions), one row for each
            decision.
        epsilon: the probability of exploring: a row takes its random action where `uniform` <
            epsilon, and its best action elsewhere.
        uniform: draws from the uniform distribution on [0, 1) (batch,).
        random_actions: an action (batch,), int64, for each row that explores, drawn beforehand.

    Returns:
        The indices of the chosen actions (batch,), int64. Where several are equally good, any of
        them.
    """
    raise NotImplementedError


# %% [markdown]
# ### Q-learning
#
# How does the table become right? Let $Q(s, a)$ be the discounted sum of all rewards from this action on, if one acts
# as well as possible afterwards. Then one move ties it to the next state, whatever the world is like (Bellman 1957):
#
# $$Q(s, a) = \mathbb{E}\big[\, r + \gamma \max_{a'} Q(s', a') \,\big] .$$
#
# After a real move, all on the right is at hand: what was earned, and what one thinks of the place where one is now.
# That is a **target**, one sample of the expectation, and **Q-learning** (Watkins & Dayan 1992) goes a part $\alpha$ of
# the way to it:
#
# $$Q(s, a) \leftarrow Q(s, a) + \alpha \big[ r + \gamma \max_{a'} Q(s', a') - Q(s, a) \big] .$$
#
# It learns a guess from a guess. The bracket is the surprise of the move, and the only real news in it are rewards. So
# first the squares beside the prize learn what they are worth, then those beside them, and knowledge spreads backwards
# from the prize, as blame spread backwards through the network. Note the maximum: it learns about the *best* action
# even while it explores with others.
#
# One case is special. Where the episode ended there is nothing more to come, and the target is $r$ alone, whatever the
# table says of the state that the program happens to stand in.
#
# ### Exercise · `q_learning_update`
#
# *●● · 10 minutes.*


# %% exercise="q_learning_update" points=3
def q_learning_update(
    q: Float[Tensor, "states actions"],
    state: int,
    action: int,
    reward: float,
    next_state: int,
    done: bool,
    *,
    learning_rate: float,
    gamma: float,
) -> Float[Tensor, "states actions"]:
    """Learn from one move: Q(s, a) ← Q(s, a) + α (target − Q(s, a)).

    The target is r + γ max over a' of Q(s', a'), and r alone if the episode ended with this move,
    whatever the table says of s'. All other entries stay as they are. Watkins & Dayan 1992; Sutton
    & Barto 2018, equation 6.8.

    Args:
        q: what each action is thought to be worth in each state (states, actions).
        state: s, where the move began.
        action: a, what was done.
        reward: r, what was earned by it.
        next_state: s', where the move led.
        done: whether the episode ended with this move.
        learning_rate: α, the part of the way to the target, in [0, 1].
        gamma: the discount factor γ, in [0, 1].

    Returns:
        The table after the update (states, actions): a new tensor, `q` stays as it is.
    """
    raise NotImplementedError


# %% [markdown]
# Five hundred walks each for three degrees of curiosity. The curves are what a walk earned, discounted, as the running
# mean of fifty walks.

# %% tags=["hands-on"]
GAMMA = 0.9
WALKS = 500


def explore(epsilon, *, seed=0, keep=()):
    """Learn to walk: the table, what each walk earned, and the table after so many walks."""
    rng = torch.Generator().manual_seed(seed)
    q = 0.01 * torch.rand(len(world.squares), 4, generator=rng)  # so that no two are equally good
    returns, kept = [], {}
    for walk in tqdm(range(WALKS), desc=f"ε = {epsilon:g}"):
        state, earned = torch.tensor([world.start]), 0.0
        for move in range(40):
            uniform = torch.rand(1, generator=rng)
            guess = torch.randint(4, (1,), generator=rng)
            action = epsilon_greedy(q[state], epsilon, uniform, guess)
            after, reward, done = world.step(state, action, generator=rng)
            experience = state.item(), action.item(), reward.item(), after.item(), done.item()
            q = q_learning_update(q, *experience, learning_rate=0.2, gamma=GAMMA)
            earned += GAMMA**move * reward.item()
            state = after
            if done:
                break
        returns.append(earned)
        if walk + 1 in keep:
            kept[walk + 1] = q
    return q, returns, kept


# For comparison, what only somebody with a map can do: iterate Bellman's equation to its end.
truth = torch.zeros(len(world.squares), 4)
for _ in range(300):
    truth = world.rewards + GAMMA * world.transitions @ truth.amax(dim=1)
best_values = truth.amax(dim=1)

walks = {epsilon: explore(epsilon, keep=(20, WALKS)) for epsilon in (0.0, 0.1, 0.6)}
plots.curves(
    {"Three walkers": {f"ε = {e:g}": smooth(returns, 50) for e, (_, returns, _) in walks.items()}},
    xlabel="walk",
    ylabel="return",
    levels={"the best": best_values[world.start].item()},
)

# %% tags=["hands-on"]
snapshots = walks[0.1][2]
plots.grid_world(
    world,
    {f"ε = 0.1, after {n} walks": (q.amax(dim=1), q.argmax(dim=1)) for n, q in snapshots.items()},
)

# %% [markdown]
# The dashed line is what the best possible walker earns. Without curiosity a walker settles for the first way that once
# worked, or for none. With a little it finds the prize, and after a hundred walks it does nearly as well as can be
# done. (The dips are real, too: the ground is slippery, and with a constant $\alpha$ the table follows the last few
# slips.) With much of it, it knows better and does otherwise more often than not.
#
# On each square stands what the walker thinks it is worth, and the arrow is what it would do. Watch the knowledge
# spread from the prize to the start. Squares off the beaten track are still wrong, and that does no harm, for it hardly
# ever gets there.
#
# In so small a world the truth can be had: whoever has the map may iterate Bellman's equation until nothing changes.
# That is the dashed line above, and the right panel below. Compare: the most curious walker knows most of the world,
# and the moderate one earns most, because it makes use of what it knows.

# %% tags=["hands-on"]
for epsilon, (q, returns, _) in walks.items():
    error = (q.amax(dim=1) - best_values).abs().mean()
    late = sum(returns[-100:]) / 100
    print(f"ε = {epsilon:g}: mean error of the values {error:.3f}, late walks earn {late:.2f}")
plots.grid_world(
    world,
    {
        f"Learnt, ε = 0.6, {WALKS} walks": (walks[0.6][0].amax(dim=1), walks[0.6][0].argmax(dim=1)),
        "The truth, with the map": (best_values, truth.argmax(dim=1)),
    },
)

# %% [markdown]
# A table has a row for every state, and no table has a row for every image or every text. So one puts a network in its
# place: $Q_\theta(s, a)$, trained by the gradients of section 3 towards the targets of this section, is deep Q-learning
# (Mnih et al. 2015). Everything in this notebook fits together.

# %% [markdown] question="three_ways" points=4
# ### Question · Which way to learn?
#
# A museum has photographs of 200 000 paintings. The painter is known for a tenth of them. It wants (a) to propose a
# painter for each of the others, (b) to arrange a room by kinds of paintings that no historian has named yet, and (c) a
# guide that chooses, picture by picture, what to show a visitor next so that he stays with pleasure. For each: which
# kind of learning is it, what exactly are the examples and the loss or the reward, and what could a system learn that
# was not meant? Then say to which of the three kinds the pretraining of a language model on plain text belongs, and
# defend your answer against somebody who says the opposite.
#
# *4 points: one for each of (a), (b), (c), with a loss or reward that could be written down and a danger that follows
# from it; one for the language model, argued from what it is told rather than from where the data come.*

# %% [markdown]
# ## Further reading
#
# - C. M. Bishop, *Pattern Recognition and Machine Learning*, 2006, free at
#   [microsoft.com](https://www.microsoft.com/en-us/research/publication/pattern-recognition-machine-learning/).
#   Sections 4.3, 5.3 and 9.1 are sections 1, 3 and 7 of this notebook.
# - I. Goodfellow, Y. Bengio & A. Courville, *Deep Learning*, 2016,
#   [deeplearningbook.org](https://www.deeplearningbook.org). Chapters 6 to 8.
# - R. S. Sutton & A. G. Barto, *Reinforcement Learning: An Introduction*, 2nd edition 2018,
#   [incompleteideas.net](http://incompleteideas.net/book/the-book-2nd.html). Chapter 6 is section 8.
# - D. E. Rumelhart, G. E. Hinton & R. J. Williams, *Learning Representations by Back-propagating Errors*, Nature 1986.
#   Four pages. For who was earlier: S. Linnainmaa's thesis, Helsinki 1970; P. Werbos's thesis, Harvard 1974.
# - K. He, X. Zhang, S. Ren & J. Sun, *Delving Deep into Rectifiers*, ICCV 2015,
#   [arXiv:1502.01852](https://arxiv.org/abs/1502.01852); G. Cybenko, *Approximation by Superpositions of a Sigmoidal
#   Function*, 1989; M. Leshno et al., *Multilayer Feedforward Networks with a Nonpolynomial Activation Function Can
#   Approximate Any Function*, Neural Networks 1993; M. Minsky & S. Papert, *Perceptrons*, 1969.
# - D. P. Kingma & J. Ba, *Adam: A Method for Stochastic Optimization*, ICLR 2015,
#   [arXiv:1412.6980](https://arxiv.org/abs/1412.6980); I. Sutskever et al., *On the Importance of Initialization and
#   Momentum in Deep Learning*, ICML 2013; B. T. Polyak, *Some Methods of Speeding up the Convergence of Iteration
#   Methods*, 1964; H. Robbins & S. Monro, *A Stochastic Approximation Method*, 1951. On momentum, with pictures that
#   move: G. Goh, *Why Momentum Really Works*, Distill 2017, [distill.pub](https://distill.pub/2017/momentum/).
# - Y. LeCun, L. Bottou, Y. Bengio & P. Haffner, *Gradient-Based Learning Applied to Document Recognition*, 1998: MNIST.
#   C. Zhang et al., *Understanding Deep Learning Requires Rethinking Generalization*, ICLR 2017,
#   [arXiv:1611.03530](https://arxiv.org/abs/1611.03530); C. Szegedy et al., *Intriguing Properties of Neural Networks*,
#   ICLR 2014, [arXiv:1312.6199](https://arxiv.org/abs/1312.6199).
# - J. Bergstra & Y. Bengio, *Random Search for Hyper-Parameter Optimization*, JMLR 2012; S. P. Lloyd, *Least Squares
#   Quantization in PCM*, IEEE Transactions on Information Theory 1982.
# - C. J. C. H. Watkins & P. Dayan, *Q-learning*, Machine Learning 1992; V. Mnih et al., *Human-level Control through
#   Deep Reinforcement Learning*, Nature 2015; D. Silver et al., *Mastering the Game of Go with Deep Neural Networks and
#   Tree Search*, Nature 2016; R. Bellman, *Dynamic Programming*, 1957.
