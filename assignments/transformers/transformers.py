# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Transformers and large language models
#
# *"Mia the mouse went to the lake. There she met Otto the wolf."* Who is *she*? You did not have to think: while
# reading the word you looked back, and it was clear to whom. A **Transformer** is a network that learns to look back.
# It was made for translation (Vaswani et al. 2017, *Attention is all you need*), and within a few years almost every
# machine that reads or writes was one: the GPT models and ChatGPT, BERT in search engines, T5, programs that write
# programs. Images, sound and proteins followed.
#
# A **large language model** is a Transformer with one task: given a text so far, say how likely each next word is. The
# task looks modest. But whoever could do it perfectly would have to know how stories go, what 3 plus 4 is, and what an
# honest answer looks like, since all of that decides what comes next.
#
# You will build one from its first matrix product to a chatbot:
#
# - **attention**, the one idea, and the two or three others that make it a network;
# - your own **GPT**, its tokens and its training from nothing;
# - **generation** as it is done in practice, reading no token twice;
# - its cousins **BERT** and **T5**, who learn from gaps;
# - **fine-tuning** a pretrained model to a new manner of speaking, and a **chatbot** with a short memory;
# - models that write **programs** and **summaries**, and how one measures whether they are any good.
#
# **How to work.** Read, fill the stub (replace `raise NotImplementedError`), run the cell, run the check below it. The
# checks are a selection: grading runs more. The docstring is the contract: shapes, what may be assumed. Everywhere in
# this notebook
#
# - the batch is the first dimension, then comes the length of the text;
# - masks are True where attention is allowed, and where there is a token;
# - logarithms are natural, so surprise is measured in *nats*;
# - functions draw no random numbers of their own: draws, or a function that chooses, are passed in;
# - results live on the device, and have the dtype, of the inputs.
#
# Cells without a stub are there to be run and played with. A default such as `attend=scaled_dot_product_attention` is
# fixed when its cell is run: after mending an earlier answer run the cells below it once more.
#
# Plan for five to six hours. Each exercise says how hard it is (● to ●●●) and how long it takes when it goes well.

# %%
import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

from coursekit import check, data, plots

# %% tags=["hands-on"]
BUDGET = 1  # how much training the cells do; with a GPU, try 10
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

import copy
import re
import time
from functools import cache

from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from coursekit import corpus


def load_model(folder):
    """A pretrained model, for use and with the loss that a language model is trained with."""
    model = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager")
    model.loss_type = "ForCausalLM"  # which its class does not say
    return model.to(DEVICE).eval()


logging.disable_progress_bar()
checkpoint = data.checkpoint("tiny-gpt")
tokenizer = AutoTokenizer.from_pretrained(checkpoint)
pretrained = load_model(checkpoint)
parameters = sum(parameter.numel() for parameter in pretrained.parameters())
print(f"{parameters:,} parameters, {len(tokenizer)} tokens")
for story in corpus.write_stories(2, generator=torch.Generator().manual_seed(1)):
    print(f"\n{story.text}")

# %% [markdown]
# That is our world: a grammar writes small stories about twelve animals, and talk about them, so that we know exactly
# how surprising a perfect model would find each. `tiny-gpt` has read some thousands of these texts. It is a GPT-2 in
# everything but size, and it was loaded by the same call that loads a real one from the Hugging Face hub.
#
# Below it reads a talk: a user says her name, and is greeted. Each row is a word that looks, each column a word that is
# looked at, dark is much attention, and a row adds up to 1. Of its *attention heads* you see the one that, in the
# answer, looks most at who is speaking, and the one that looks most at *Ada* where it must say whom it greets: at the
# comma after the second *Hello*. Nobody told the model to look there. It found out that looking there pays.

# %% tags=["hands-on"]
sentence = f"{corpus.USER}Hello, my name is Ada.{corpus.ASSISTANT}Hello, Ada!"


def best_heads(maps, pairs):
    """For each set of pairs (who looks, looked at) the head that gives them most attention.

    `maps` is (layers, heads, length, length); returns a title and a matrix for each.
    """
    found = {}
    for name, places in pairs.items():
        looks, looked_at = zip(*places, strict=True)
        best = maps[:, :, list(looks), list(looked_at)].mean(dim=2).argmax().item()
        layer, head = divmod(best, maps.shape[1])
        found[f"{name} (layer {layer + 1}, head {head + 1})"] = maps[layer, head]
    return found


def repeats(words):
    """Pairs of places at which the same word stands, the later one first."""
    return [(i, j) for i, word in enumerate(words) for j in range(i) if words[j] == word]


def neighbours(words):
    """Pairs of neighbouring places, the later one first."""
    return [(i, i - 1) for i in range(1, len(words))]


tokens = tokenizer(sentence, return_tensors="pt")["input_ids"].to(DEVICE)
words = [tokenizer.decode([token]) for token in tokens[0].tolist()]
with torch.no_grad():
    maps = torch.stack(pretrained(tokens, output_attentions=True).attentions)[:, 0]
told, said = (place for place, word in enumerate(words) if word == " Ada")
speaker = words.index(corpus.ASSISTANT)
answer = range(speaker + 1, len(words))
pairs = {"who speaks": [(i, speaker) for i in answer], "whom to greet": [(said - 1, told)]}
plots.matrices(
    best_heads(maps, pairs),
    rows=words,
    columns=words,
    xlabel="looked at",
    ylabel="who looks",
)

# %% [markdown]
# ## 1 · Attention
#
# Before 2017 sentences were read by recurrent networks: word by word, each time squeezing all that was read so far into
# one vector. By the end of a long sentence its beginning has been squeezed often. Bahdanau, Cho & Bengio (2015) let a
# translator look back at *all* the states of the reader, with weights that it computes anew for every word it writes.
# Vaswani et al. (2017) kept the looking and threw the recurrence away.
#
# Think of a dictionary in which nothing matches exactly. Every position offers a **value** under a **key**. Whoever
# needs something comes with a **query**, compares it with all keys, and takes the average of the values, those with
# better keys counting more. If all three are vectors, "compares" can be an inner product, and "counting more" a
# softmax:
#
# $$\mathrm{Attention}(Q, K, V) = \mathrm{softmax}\!\Big( \frac{Q K^\top}{\sqrt{d}} \Big) V ,$$
#
# with a query in each row of $Q$, a key in each row of $K$, a value in each row of $V$, $d$ the size of queries and
# keys, and the softmax over the keys, so that the weights of each query add up to 1 (their eq. 1). Every step is
# differentiable: what to ask, what to offer under which name, all that can be learnt.
#
# **Why $\sqrt d$?** If the entries of $q$ and $k$ are independent with mean 0 and variance 1, then $q \cdot k =
# \sum_i q_i k_i$ has variance $d$: its typical size grows as $\sqrt d$. A softmax of large numbers puts all weight on
# one key, and then its gradient is all but zero. Dividing by $\sqrt d$ keeps the scores at size 1 whatever the
# dimension.
#
# **Masks.** Some pairs must not meet: a model that is to predict the next word must not see it, and *padding*, which
# fills short texts up to the length of the longest in the batch, says nothing. Such scores are set to $-\infty$
# before the softmax: $e^{-\infty} = 0$, and the others still add up to 1. (Setting *weights* to zero afterwards would
# not do.) One trap is left: a query that may look at nothing at all. Its softmax is $0/0$, and one NaN in a batch
# spoils every weight of the network at the next step. Let such a query have zeros.
#
# ### Exercise · `scaled_dot_product_attention`
#
# *●● · 20 minutes.* With any number of batch dimensions: think of the last two only.


# %% exercise="scaled_dot_product_attention" points=4
def scaled_dot_product_attention(
    query: Float[Tensor, "*batch queries d_key"],
    key: Float[Tensor, "*batch keys d_key"],
    value: Float[Tensor, "*batch keys d_value"],
    mask: Bool[Tensor, "..."] | None = None,
) -> Float[Tensor, "*batch queries d_value"]:
    """For each query, an average of the values, weighted by how well query and key agree.

    softmax(Q Kᵀ / √d_key) V, the softmax over the keys (Vaswani et al. 2017, equation 1). It
    stays finite, and so do its gradients, at scores of ±10⁴.

    Args:
        query: what is looked for (*batch, queries, d_key), with any number of batch dimensions,
            also none.
        key: what is on offer (*batch, keys, d_key).
        value: what is handed over (*batch, keys, d_value).
        mask: True where a query may look at a key; of shape (*batch, queries, keys) or one that
            broadcasts to it, such as (queries, keys). A key that is masked out has no influence
            at all. None lets every query look at every key.

    Returns:
        Averages (*batch, queries, d_value). A query that may look at no key gets zeros, and
        finite gradients.
    """
    raise NotImplementedError


# %% [markdown]
# Two things to see. The picture shows the largest of 64 weights for random queries and keys: without the division
# attention becomes a choice of one as $d$ grows, with it nothing depends on $d$.
#
# And a trick that we shall use again: **the weights themselves are what attention makes of an identity matrix**, since
# $A I = A$.

# %% tags=["hands-on"]
sizes = [2**power for power in range(1, 10)]
largest = {"as in the formula": [], "without √d": []}
generator = torch.Generator().manual_seed(0)
identity = torch.eye(64).expand(200, 64, 64)
for size in sizes:
    query = torch.randn(200, 1, size, generator=generator)
    key = torch.randn(200, 64, size, generator=generator)
    for name, factor in (("as in the formula", 1), ("without √d", math.sqrt(size))):
        weights = scaled_dot_product_attention(factor * query, key, identity)
        largest[name].append(weights.max(dim=2).values.mean().item())
plots.curves(
    {"Attention of a random query to 64 random keys": largest},
    x=torch.tensor(sizes).log2(),
    xlabel="size of queries and keys, as log₂ d",
    ylabel="largest weight, on average",
    levels={"evenly": 1 / 64},
)

# %% [markdown]
# ### Many heads
#
# In **self-attention** queries, keys and values all come from the same sequence, by three linear maps: $Q = X W_Q$,
# $K = X W_K$, $V = X W_V$. One softmax makes one average. But "she" wants to know to whom it refers *and* what the
# verb is, and the average of the two answers is neither. So the features are cut into $h$ parts, the **heads**; each
# has queries, keys and values of its own, of size $d = \text{width}/h$, and looks where it wants. Their results are
# put side by side again, and a last linear map mixes them (Vaswani et al. 2017, section 3.2.2):
#
# $$\mathrm{MultiHead}(X) = [\mathrm{head}_1, \dots, \mathrm{head}_h]\, W_O, \qquad
# \mathrm{head}_i = \mathrm{Attention}\big(X W_Q^{(i)}, X W_K^{(i)}, X W_V^{(i)}\big).$$
#
# In code nothing is cut: a tensor (batch, length, width) is *seen* as (batch, length, heads, d), and the heads are
# moved beside the batch, (batch, heads, length, d), where attention treats them like so many further sequences. The
# way back must undo the same two steps. A `reshape` without the transpose in between raises no error and mixes
# positions with heads: it is the classic mistake here, and with one head you cannot see it.
#
# In a **causal** layer position $t$ may look at positions up to $t$, itself included. With padding, nobody may look at
# it: the mask of the padding is about *keys*, and it is the same for every query and every head of a sequence.
#
# ### Exercise · `SelfAttention`
#
# *●●● · 40 minutes.* The names of the four layers are part of the contract: later you will load the weights of a
# pretrained model into them.


# %% exercise="SelfAttention" points=4
class SelfAttention(nn.Module):
    """Multi-head self-attention: every position looks at the others of its own sequence.

    Vaswani et al. 2017, section 3.2.2. Queries, keys and values are linear maps of the input.
    Their features are cut into `heads` equal parts, one after the other: with d = width / heads,
    head h has the features from h·d up to (h+1)·d. Each head attends by itself; the results are
    put side by side again in the same order, and mapped once more. There is no dropout.

    The four maps are `nn.Linear(width, width)` with a bias, and are called `query`, `key`,
    `value` and `output`, so that weights from elsewhere can be loaded.

    Args:
        width: features of a position, in the input and in the output.
        heads: how many heads; they share the features.
        causal: whether a position may look only at itself and at those before it.
        attend: your `scaled_dot_product_attention`, or another function that is called like it.

    Raises:
        ValueError: if `width` is not a multiple of `heads`.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool = True,
        attend: Callable = scaled_dot_product_attention,
    ) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        """Let the positions of each sequence look at one another.

        Args:
            x: a batch of sequences (batch, length, width).
            mask: True where there is a token, False where there is padding (batch, length): no
                position may look at padding. None means that there is no padding.

        Returns:
            What each position has gathered (batch, length, width). At padding it may be
            anything finite.
        """
        raise NotImplementedError


# %% [markdown]
# How your layer looks at a batch of two short texts, one of them with padding at its end. A layer fresh from its
# constructor has no preferences worth mentioning: what you see is what the masks allow.

# %% tags=["hands-on"]
seen = []


def watched(query, key, value, mask=None):
    """Attention that keeps its weights."""
    identity = torch.eye(key.shape[-2], device=key.device).expand(*key.shape[:-1], -1)
    seen.append(scaled_dot_product_attention(query, key, identity, mask).detach().cpu())
    return scaled_dot_product_attention(query, key, value, mask)


torch.manual_seed(0)
texts = [["Olga", "likes", "plums", "very", "much"], ["Ben", "sleeps", "—", "—", "—"]]
padding = torch.tensor([[word != "—" for word in text] for text in texts])
x = 0.1 * torch.randn(2, 5, 8)
for causal in (True, False):
    SelfAttention(8, 2, causal=causal, attend=watched)(x, padding)
plots.matrices(
    {
        "causal, no padding": seen[0][0, 0],
        "causal, padding": seen[0][1, 0],
        "both ways, padding": seen[1][1, 0],
    },
    rows=["1", "2", "3", "4", "5"],
    columns=["1", "2", "3", "4", "5"],
    xlabel="position looked at",
    ylabel="position that looks",
    numbers=True,
)

# %% [markdown] question="looking" points=3
# ### Question · What a layer can do
#
# (a) A friend has forgotten the division by $\sqrt d$. His network with heads of size 4 trains well, that with heads of
# size 256 does not train at all. Explain, with the variance of a score and the gradient of a softmax. (b) Compare a
# self-attention layer with a recurrent network for a text of $n$ words: through how many steps does information travel
# from the first word to the last, what can be computed at the same time, and how do cost and memory grow with $n$?
#
# *3 points: one for (a), with both halves of the argument; one for paths and parallelism; one for how cost and memory
# grow, and where that begins to hurt.*

# %% [markdown]
# ## 2 · Where am I?
#
# Attention does not know about order. Permute the words of a text, and without a causal mask the results are permuted
# likewise, nothing else changes: to the bare formula, *dog bites man* and *man bites dog* are the same. Positions have
# to be told.
#
# **Added.** Vaswani et al. (2017, section 3.5) add to each word a vector that says where it stands, made of waves of
# many lengths:
#
# $$P_{p,\,2i} = \sin\!\big(p \cdot b^{-2i/\text{width}}\big), \qquad
# P_{p,\,2i+1} = \cos\!\big(p \cdot b^{-2i/\text{width}}\big), \qquad b = 10\,000 .$$
#
# Read it as a clock with many hands: the first goes round every six words, the last takes some sixty thousand. A
# shift by $k$ words turns every hand by a fixed angle, which is a linear map, the same at every place, so that "three
# words ago" is easy to learn. GPT does not bother: it learns a vector for each position like any other weight.
#
# ### Exercise · `sinusoidal_positions`
#
# *● · 10 minutes.*


# %% exercise="sinusoidal_positions" points=2
def sinusoidal_positions(
    length: int,
    width: int,
    *,
    base: float = 10_000.0,
) -> Float[Tensor, "length width"]:
    """A fixed vector for each position: waves of many lengths.

    Position p has sin(p / base^(2i/width)) as its feature 2i and the cosine of the same angle as
    its feature 2i+1 (Vaswani et al. 2017, section 3.5). Positions count from 0.

    Args:
        length: how many positions.
        width: features of a position, an even number.
        base: sets the slowest wave.

    Returns:
        Vectors (length, width), float32, one in each row.

    Raises:
        ValueError: if `width` is odd.
    """
    raise NotImplementedError


# %% tags=["hands-on"]
waves = sinusoidal_positions(96, 64)
plots.matrices(
    {"The vectors": waves, "Their inner products": waves @ waves.T / 32},
    xlabel=("feature", "position"),
    ylabel="position",
)

# %% [markdown]
# **Turned.** What matters for attention is mostly *how far apart* two words are. Su et al. (2021) build that into the
# score itself. Take the features in pairs, each a point of a plane, and turn it by an angle that grows with the
# position $p$:
#
# $$\begin{pmatrix} x'_{2i} \\ x'_{2i+1} \end{pmatrix} =
# \begin{pmatrix} \cos p\theta_i & -\sin p\theta_i \\ \sin p\theta_i & \cos p\theta_i \end{pmatrix}
# \begin{pmatrix} x_{2i} \\ x_{2i+1} \end{pmatrix}, \qquad \theta_i = b^{-2i/d} .$$
#
# Queries and keys are turned, values are not. The inner product of two vectors depends only on the angle *between*
# them, so if both are turned, by $p\theta_i$ and $q\theta_i$, the score depends on $p - q$ alone. Nothing is added,
# nothing is learnt, and lengths are kept. Nearly all large language models since (LLaMA and most that came after) use
# this **rotary embedding**.
#
# ### Exercise · `rotary_embedding`
#
# *●● · 20 minutes.* Positions are passed in, since with a cache (section 6) a piece of text does not begin at 0.


# %% exercise="rotary_embedding" points=3
def rotary_embedding(
    x: Float[Tensor, "*batch length width"],
    positions: Int[Tensor, "length"],
    *,
    base: float = 10_000.0,
) -> Float[Tensor, "*batch length width"]:
    """Turn queries or keys by angles that grow with their positions.

    The features 2i and 2i+1 are a point of a plane. At position p it is turned by the angle
    p / base^(2i/width), from the first of the two axes towards the second (Su et al. 2021,
    equations 14 and 15; many libraries pair feature i with i + width/2 instead, which is not
    meant here).

    Args:
        x: queries or keys (*batch, length, width), the width an even number.
        positions: where in the text each of them stands (length,), not necessarily from 0.
        base: sets the slowest rotation.

    Returns:
        What was turned (*batch, length, width), of the dtype of `x`.

    Raises:
        ValueError: if the width is odd.
    """
    raise NotImplementedError


# %% [markdown]
# The score of a query and a key that are equal, against the distance between them: near words are preferred, a little,
# until training says otherwise. Shift both through the text by a thousand words, and nothing changes.

# %% tags=["hands-on"]
distances = torch.arange(200)
vector = torch.ones(1, 64) / 8  # a query that is its own key, of length 1


def scores_at(place):
    """The score of the vector at a place with itself, at each of the distances before it."""
    query = rotary_embedding(vector, torch.tensor([place]))
    key = rotary_embedding(vector.expand(200, 64), place - distances)
    return (key @ query.T)[:, 0]


change = (scores_at(1200) - scores_at(200)).abs().max().item()
print(f"largest change by a shift of 1000 words: {change:.1e}")
plots.curves(
    {"Score of a key that equals the query": {"": (distances, scores_at(200))}},
    xlabel="words between query and key",
    ylabel="inner product",
)

# %% [markdown]
# ## 3 · From a layer to a language model
#
# Attention moves information between positions, but what it moves are averages. Between two layers of it each
# position needs to *think* about what it has gathered: a small network, the same at every position, four times as
# wide inside. One of each makes a **block**, and around each goes a detour that is older than Transformers (He et al.
# 2016):
#
# $$x \leftarrow x + \mathrm{attention}(\mathrm{norm}_1(x)), \qquad
# x \leftarrow x + W_2\, \mathrm{gelu}(W_1\, \mathrm{norm}_2(x) + b_1) + b_2 .$$
#
# - **Residual stream.** A block does not replace $x$, it *adds* to it. From the last layer to the first there is a
#   way without any weight on it, on which gradients arrive undiminished. It helps to think of $x$ as a notice board
#   that runs through the whole network: every layer reads it and pins something up.
# - **Layer normalisation** (Ba, Kiros & Hinton 2016) brings the features of each position, by themselves, to mean 0 and
#   variance 1, then scales and shifts them by learnt numbers. In the paper of 2017 it stood after the sum; GPT-2 moved
#   it to the entrance of each part ("pre-norm"), which keeps the way through clear and trains without special care
#   (Xiong et al. 2020).
# - **GELU**, $x\,\Phi(x)$ with $\Phi$ the distribution function of the standard Gaussian, is a smooth ReLU (Hendrycks &
#   Gimpel 2016). GPT-2 uses an approximation by tanh.
#
# ### Exercise · `TransformerBlock`
#
# *●● · 15 minutes.* The attention is passed in, ready made.


# %% exercise="TransformerBlock" points=3
class TransformerBlock(nn.Module):
    """A layer as in GPT-2: look around, then think, each added to what was there.

    x ← x + attention(norm1(x)), then x ← x + down(gelu(up(norm2(x)))): normalisation comes first
    ("pre-norm", Radford et al. 2019, section 2.3). GELU is the one with tanh that GPT-2 uses, in
    torch approximate="tanh". There is no dropout.

    The parts are called `norm1`, `attention`, `norm2`, `up` and `down`: two `nn.LayerNorm(width)`
    with torch's default settings, and `nn.Linear` from width to 4 · width and back.

    Args:
        width: features of a position.
        attention: a module, such as your `SelfAttention(width, heads)`; attention(x, mask) gives
            a tensor of the shape of x. It becomes the attribute `attention`.
    """

    def __init__(self, width: int, attention: nn.Module) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(
        self,
        x: Float[Tensor, "batch length width"],
        mask: Bool[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch length width"]:
        """Pass a batch of sequences through the layer.

        Args:
            x: a batch of sequences (batch, length, width).
            mask: True where there is a token, False at padding, or None; handed on to the
                attention.

        Returns:
            The sequences after the layer (batch, length, width).
        """
        raise NotImplementedError


# %% [markdown]
# **GPT**, the *generative pre-trained Transformer* (Radford et al. 2018), is a stack of such blocks, all causal. At
# the bottom tokens become vectors, and positions are added; at the top vectors become scores of tokens. Both tables
# speak about the same tokens, so they are one: the score of a token is the inner product of its vector with what the
# network has come to, which saves a large part of a small model's weights (Press & Wolf 2017).
#
# One detail decides whether training starts well. If the entries of the table were drawn from $\mathcal{N}(0, 1)$,
# torch's default, scores would be of size $\sqrt{\text{width}}$: the model would begin by being certain of random
# tokens. With a standard deviation of 0.02 it begins by guessing, with a surprise of $\log(\text{vocabulary})$ at
# every token.
#
# The whole training signal is the next word. But a causal model makes a prediction at *every* position at once, none
# of which can see its answer: a text of a thousand tokens is a thousand exercises for the price of one pass. That, as
# much as anything, is why these models could become large.
#
# ### Exercise · `GPT`
#
# *●● · 25 minutes.*


# %% exercise="GPT" points=4
class GPT(nn.Module):
    """A language model: for each position, scores of every token that could come next.

    Radford et al. 2018 and 2019. The vector of a token and the vector of its position, counted
    from 0, are added; the blocks follow, one after the other; then a last normalisation. The
    score of a token is the inner product of the result with the vector of that token: the
    output shares its weights with the input ("tied" embeddings, Press & Wolf 2017) and has no
    bias. There is no dropout.

    The parts are called `token` and `position` (both `nn.Embedding`), `blocks` (an
    `nn.ModuleList`) and `norm` (an `nn.LayerNorm` with torch's default settings). The weights of
    both embeddings start as draws from N(0, 0.02²).

    Args:
        vocabulary: how many tokens there are.
        context: the longest sequence, which is how many positions have a vector.
        width: features of a position.
        blocks: the layers in order, such as your `TransformerBlock`s; block(x, mask) gives a
            tensor of the shape of x.
    """

    def __init__(
        self,
        vocabulary: int,
        context: int,
        width: int,
        blocks: Sequence[nn.Module],
    ) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(
        self,
        ids: Int[Tensor, "batch length"],
        mask: Bool[Tensor, "batch length"] | None = None,
    ) -> Float[Tensor, "batch length vocabulary"]:
        """Score what comes next after each token.

        Args:
            ids: token ids (batch, length).
            mask: True where there is a token, False at padding, or None; handed on to every
                block. Positions count from the first column, whether or not it is padding.

        Returns:
            Logits (batch, length, vocabulary): row [b, t] is about the token after ids[b, t].

        Raises:
            ValueError: if a sequence is longer than the context.
        """
        raise NotImplementedError


# %% [markdown]
# How large is large? Attention has four matrices of width × width, the little network two of width × 4 width: a layer
# has $12\,\text{width}^2$ weights and a few more, and the table of tokens comes on top. The sizes below are those
# that the papers give; the count is yours. (Nothing is computed: on torch's "meta" device tensors have a shape and no
# content.)
#
# | | year | layers | width | heads | context | read |
# | --- | --- | --- | --- | --- | --- | --- |
# | GPT (Radford et al.) | 2018 | 12 | 768 | 12 | 512 | 7000 unpublished books |
# | GPT-2 (Radford et al.) | 2019 | 48 | 1600 | 25 | 1024 | 40 GB of pages that people had linked to |
# | GPT-3 (Brown et al.) | 2020 | 96 | 12288 | 96 | 2048 | 300 billion tokens: the web, books, Wikipedia |
# | GPT-4 (OpenAI) | 2023 | not told | not told | not told | 8192, 32768 | not told; images as well as text |
#
# Between GPT-2 and GPT-3 little changed but the size. What changed with it was unforeseen: shown a few examples *in
# its prompt*, GPT-3 did tasks for which it had never been trained ("few-shot learning"). Along the way the surprise
# fell as a power of size, data and computation, smoothly over seven orders of magnitude (Kaplan et al. 2020). About
# GPT-4 the report tells results (a bar examination in the top tenth of the candidates) and how they were predicted
# from small runs, but neither size nor data.

# %% tags=["hands-on"]


def make_gpt(vocabulary, context, width, layers, heads, *, causal=True, **options):
    """Your GPT, with blocks of the usual kind."""

    def block():
        return TransformerBlock(width, SelfAttention(width, heads, causal=causal, **options))

    return GPT(vocabulary, context, width, [block() for _ in range(layers)])


config = pretrained.config
tiny = (config.vocab_size, config.n_positions, config.n_embd, config.n_layer, config.n_head)
published = {
    "tiny-gpt": tiny,
    "GPT": (40_478, 512, 768, 12, 12),
    "GPT-2": (50_257, 1024, 1600, 48, 25),
    "GPT-3": (50_257, 2048, 12_288, 96, 96),
}
for name, sizes in published.items():
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in make_gpt(*sizes).parameters())
    print(f"{name:9}{count / 1e6:12,.1f} million weights")

# %% [markdown]
# ## 4 · What is a word?
#
# A network wants numbers from a fixed list. Whole words? The list never ends: *lighthouses*, *Lola's*, a typing
# error. Single letters, or bytes? The list is short, but texts become five times as long, attention twenty-five times
# as dear, and half of the network's work is spelling. **Byte-pair encoding** takes the middle. It was a compression
# scheme (Gage 1994); Sennrich, Haddow & Birch (2016) brought it to translation, and GPT-2 to bytes, so that there is
# no text that cannot be written. Start with bytes. Count all pairs of neighbours, and put a new token in place of the
# most frequent one. Repeat. What is frequent becomes one token, what is rare stays spelled, and the number of rounds
# is the size of the vocabulary.
#
# So that no token reaches across words, texts are cut into words beforehand, each with the space before it.
#
# ### Exercise · `merge_pairs`
#
# *● · 10 minutes.* One round, for one word.


# %% exercise="merge_pairs" points=2
def merge_pairs(tokens: Sequence[int], pair: tuple[int, int], new: int) -> list[int]:
    """Put one token in place of every occurrence of a pair of neighbours.

    From left to right; a token takes part in one merge at most, so in [7, 7, 7] the pair (7, 7)
    occurs once, at the start. What is new is not merged again. Sennrich et al. 2016,
    algorithm 1.

    Args:
        tokens: token ids; they stay as they are.
        pair: the two ids, in order.
        new: the id that takes their place.

    Returns:
        A new list of token ids.
    """
    raise NotImplementedError


# %% [markdown]
# ### Exercise · `learn_merges`
#
# *●● · 20 minutes.* All rounds. The order matters: whoever *uses* the vocabulary applies the merges in the order in
# which they were learnt.


# %% exercise="learn_merges" points=3
def learn_merges(
    words: Sequence[Sequence[int]],
    count: int,
    *,
    first: int = 256,
    merge: Callable = merge_pairs,
) -> list[tuple[int, int]]:
    """Learn a vocabulary by byte-pair encoding: merge the most frequent pair, again and again.

    Each round counts every pair of neighbours in every word, chooses the most frequent one,
    and merges it in all words. Among equally frequent pairs the smallest is chosen, as Python
    compares tuples. The k-th merge, counted from 0, makes the token first + k. Sennrich et al.
    2016, algorithm 1.

    Args:
        words: token ids, to begin with usually bytes; pairs never reach from one word into the
            next, and a word that occurs twice counts twice. They stay as they are.
        count: how many merges to learn.
        first: the id of the first new token.
        merge: your `merge_pairs`, or another function that is called like it.

    Returns:
        The merged pairs, in the order in which they were learnt; fewer than `count` if at some
        point no pair occurs at least twice. In [7, 7, 7] the pair (7, 7) counts twice.
    """
    raise NotImplementedError


# %% tags=["hands-on"]
stories = corpus.write_stories(1500, generator=torch.Generator().manual_seed(0))


def split(text):
    """Words with the space before them, and marks."""
    return re.findall(r" ?\w+| ?[^\w\s]", text)


counted = [list(word.encode()) for story in stories[:40] for word in split(story.text)]
merges = learn_merges(counted, 200)
vocabulary = [bytes([number]) for number in range(256)]
for first, second in merges:
    vocabulary.append(vocabulary[first] + vocabulary[second])


@cache
def encode_word(word, rounds):
    """The tokens of one word after so many rounds of merging."""
    tokens = list(word.encode())
    for number, pair in enumerate(merges[:rounds]):
        tokens = merge_pairs(tokens, pair, 256 + number)
    return tuple(tokens)


def encode(text, rounds=200):
    """The tokens of a text."""
    return [token for word in split(text) for token in encode_word(word, rounds)]


def decode(tokens):
    """The text of tokens; a character that was cut in two is left out."""
    return b"".join(vocabulary[token] for token in tokens).decode(errors="ignore")


print("first merges:", *(repr(word.decode()) for word in vocabulary[256:276]))
print("last merges: ", *(repr(word.decode()) for word in vocabulary[-12:]))
for rounds in (0, 10, 50, 200):
    shown = "·".join(decode([token]) for token in encode("Otto hurried up the hill.", rounds))
    print(f"{rounds:4} merges: {shown}")

# %% tags=["hands-on"]
rounds = [0, 5, 10, 20, 30, 50, 75, 100, 150, 200]
sample = " ".join(story.text for story in stories[100:130])
lengths = [len(sample) / len(encode(sample, count)) for count in rounds]
plots.curves(
    {"What merging buys, on stories that were not counted": {"": lengths}},
    x=rounds,
    xlabel="merges learnt",
    ylabel="letters in a token, on average",
)

# %% [markdown]
# The first merges are pieces of frequent words, later ones are whole words with their space, and the names of our
# animals. Every merge buys less than the one before.
#
# Much that is odd about language models is odd because of this list. They cannot easily count the letters of a word
# that they have never seen spelled; numbers are cut at random places; and a language that was rare in the texts that
# were counted is cut small, so that the same sentence costs its speakers several times as many tokens (Petrov et al.
# 2023).

# %% [markdown]
# ## 5 · Learning to write
#
# A language model with weights $\theta$ gives a text the probability
# $p_\theta(w_1, \dots, w_T) = \prod_t p_\theta(w_t \mid w_{<t})$. Training minimises the mean surprise
# $-\frac1T \sum_t \log p_\theta(w_t \mid w_{<t})$, in nats for each token. To make such a number speak one takes its
# exponential, the **perplexity** (Jelinek et al. 1977):
#
# $$\mathrm{PPL} = \exp\Big( -\frac1T \sum_{t=1}^{T} \log p_\theta(w_t \mid w_{<t}) \Big).$$
#
# It says between how many equally likely tokens the model hesitates: 1 for a prophet, the size of the vocabulary for
# one who knows nothing. No model can get below $e^H$, where $H$ is the entropy of the language. For English nobody
# knows $H$; for ours we do.
#
# Beware of three things. The logits of a position are about the *next* token, so logits and tokens must be shifted
# against each other by one. Texts in a batch have different lengths: the mean is over tokens, not over the means of
# texts. And the exponential comes last.
#
# ### Exercise · `perplexity`
#
# *●● · 15 minutes.* A label of −100 means "does not count", a convention of torch that the transformers library
# follows.


# %% exercise="perplexity" points=2
def perplexity(
    logits: Float[Tensor, "batch length vocabulary"],
    labels: Int[Tensor, "batch length"],
) -> Float[Tensor, ""]:
    """Between how many tokens a language model hesitates: e to the mean surprise, in nats.

    The surprise of a token is −log softmax(logits) of the position before it, so the first
    token of a sequence is never asked for. Labels of −100 are not counted. The mean is over all
    tokens of the batch that count, each with the same weight, before the exponential (Jelinek
    et al. 1977). One surprise of hundreds of nats makes it large, and not infinite: the softmax of
    such a token is 0 in float32, its surprise is not.

    Args:
        logits: a model's scores (batch, length, vocabulary); row [b, t] is about position t + 1.
        labels: the tokens that stand at each position (batch, length), not shifted; −100 where
            one is not to be counted.

    Returns:
        A scalar, of shape (): at least 1, and the size of the vocabulary for guessing.

    Raises:
        ValueError: if there is no token to count.
    """
    raise NotImplementedError


# %% [markdown]
# Now train your own model: your tokens, your attention, your GPT, two layers, from nothing. Batches are windows cut
# from one long stream of stories.

# %% tags=["hands-on"]
END = 10  # the byte of a line break stands between stories
CONTEXT = 64
stream = torch.tensor([token for story in stories for token in [*encode(story.text), END]])


def surprise(logits, labels):
    """The mean surprise in nats: the logarithm of your perplexity."""
    return perplexity(logits, labels).log()


def fit(model, batch, steps, *, name, rate=4e-3, loss=surprise):
    """Train a model under a progress bar; returns the surprise of each step, in nats.

    `batch()` gives ids, labels and mask.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    one_cycle = torch.optim.lr_scheduler.OneCycleLR
    schedule = one_cycle(optimizer, rate, total_steps=steps, pct_start=0.1)
    history = []
    for _ in tqdm(range(steps), desc=name):
        ids, labels, mask = batch()
        value = loss(model(ids, mask), labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
        history.append(value.item())
    return history


generator = torch.Generator().manual_seed(0)


def windows(count=16):
    """So many pieces of the stream, cut out at random."""
    starts = torch.randint(len(stream) - CONTEXT, (count, 1), generator=generator)
    ids = stream[starts + torch.arange(CONTEXT)].to(DEVICE)
    return ids, ids, None


torch.manual_seed(0)
writer = make_gpt(len(vocabulary), CONTEXT, 64, 2, 4).to(DEVICE)
untrained = copy.deepcopy(writer)
history = torch.tensor(fit(writer, windows, round(500 * BUDGET), rate=5e-3, name="your GPT"))

# %% tags=["hands-on"]
others = corpus.write_stories(500, generator=torch.Generator().manual_seed(1))
entropy = sum(s.nats for s in others) / sum(len(encode(s.text)) + 1 for s in others)
with torch.no_grad():
    ids, labels, _ = windows(200)
    reached = perplexity(writer(ids), labels).item()
print(f"perplexity at the end {reached:.2f}, of the grammar itself {math.exp(entropy):.2f}")
smooth = history[: len(history) // 10 * 10].view(-1, 10).mean(dim=1)
plots.curves(
    {"Training": {"your GPT": smooth.exp().log10()}},
    x=10 * torch.arange(1, len(smooth) + 1),
    xlabel="training step",
    ylabel="perplexity, as log₁₀",
    levels={"guessing": math.log10(len(vocabulary)), "the grammar": entropy / math.log(10)},
)

# %% [markdown]
# The curve comes in steps: first the frequent tokens, then which follows which, then words, then how stories go. What
# is missing to the dashed line is in part the windows (cut in the middle of a story, a model cannot know who *she*
# is), in part skill.
#
# To **write**, draw a token from the model's probabilities, append it, and ask again. A *temperature* $\tau$ divides
# the logits first: below 1 the likely becomes likelier, towards 0 only the likeliest is left, above 1 the model
# becomes adventurous. Creative writing is a matter of this dial, and so is nonsense.

# %% tags=["hands-on"]


def sampler(temperature, seed=0):
    """A function that draws tokens from logits (batch, vocabulary)."""
    generator = torch.Generator().manual_seed(seed)

    def choose(logits):
        chances = (logits / temperature).softmax(dim=1).cpu()
        return torch.multinomial(chances, 1, generator=generator)[:, 0].to(logits.device)

    return choose


@torch.no_grad()
def write_slowly(model, ids, count, choose):
    """Append tokens one by one, each time reading the whole text again, as far as it fits."""
    for _ in range(count):
        logits = model(ids[:, -CONTEXT:])[:, -1]
        ids = torch.cat([ids, choose(logits).unsqueeze(1)], dim=1)
    return ids


start = torch.tensor([[END, *encode("Once there was")]], device=DEVICE)
for name, model, temperature in (
    ("before training", untrained, 1.0),
    ("temperature 0.3", writer, 0.3),
    ("temperature 1", writer, 1.0),
    ("temperature 2", writer, 2.0),
):
    text = write_slowly(model, start, 60, sampler(temperature))[0].tolist()
    print(f"{name}: {decode(text[1:])!r}\n")

# %% [markdown]
# What do your heads look at? (The weights are copied into a twin of the model that was built with the `watched`
# attention.) Of the eight heads you see the best at two things: looking at the token before, and at an earlier
# occurrence of the same token. Put one above the other and something new comes out: a head that looks for the token
# *after* the earlier occurrence of the present one. Olsson et al. (2022) call that an *induction head*, "what came
# after this last time will come again", and hold it for the seed of learning from examples in the prompt.

# %% tags=["hands-on"]
twin = make_gpt(len(vocabulary), CONTEXT, 64, 2, 4, attend=watched).to(DEVICE)
twin.load_state_dict(writer.state_dict())
tokens = encode("There Mia met Finn. She gave it to Finn. Finn was happy. Mia")
seen.clear()
with torch.no_grad():
    twin(torch.tensor([tokens], device=DEVICE))
names = [decode([token]) for token in tokens]
pairs = {
    "the token before": neighbours(names),
    "the same token": repeats(names),
}
plots.matrices(
    best_heads(torch.cat(seen), pairs),
    rows=names,
    columns=names,
    xlabel="looked at",
    ylabel="who looks",
)

# %% [markdown]
# ## 6 · Reading nothing twice
#
# `write_slowly` is wasteful. To write token 201 it computes keys and values of the 200 tokens before it, exactly
# those that it computed for token 200: in a causal model nothing that comes later can change them. So keep them. That
# is the **key–value cache**; with it, each token passes through the network once.
#
# With a cache the queries are *fewer* than the keys. Say 200 positions are in the cache, and 3 new ones come at once:
# the first of the three may look at 201 keys, the second at 202, the third at 203. The mask is a triangle that is
# moved to the right by the length of the past, and to place it at the left, as if there were no past, is the mistake
# that everyone makes once.
#
# ### Exercise · `attend_with_cache`
#
# *●● · 15 minutes.*


# %% exercise="attend_with_cache" points=3
def attend_with_cache(
    query: Float[Tensor, "batch heads new d_key"],
    key: Float[Tensor, "batch heads new d_key"],
    value: Float[Tensor, "batch heads new d_value"],
    cache: tuple[Tensor, Tensor] | None = None,
    *,
    attend: Callable = scaled_dot_product_attention,
) -> tuple[Float[Tensor, "batch heads new d_value"], tuple[Tensor, Tensor]]:
    """Causal attention for the newest positions of a sequence, the older ones being remembered.

    A new position may look at everything in the cache, at itself, and at new positions before
    it. So attention over a sequence in pieces gives the same as attention over all of it.

    Args:
        query: of the new positions (batch, heads, new, d_key).
        key: of the new positions (batch, heads, new, d_key).
        value: of the new positions (batch, heads, new, d_value).
        cache: keys and values of all positions before these, (batch, heads, past, d_key) and
            (batch, heads, past, d_value); None if these are the first. It is not changed.
        attend: your `scaled_dot_product_attention`, or another function that is called like it.

    Returns:
        What the new positions have gathered (batch, heads, new, d_value), and the cache for the
        next call: the pair of all keys and all values, oldest first.
    """
    raise NotImplementedError


# %% [markdown]
# And the loop around it. What the cache *is*, the loop need not know: it gets one from each call and hands it to the
# next. So the same loop will drive your GPT and any model from the hub.
#
# A batch has a difficulty of its own: texts end at different times. One that has ended must not go on, while the
# others do.
#
# ### Exercise · `generate_with_cache`
#
# *●● · 25 minutes.*


# %% exercise="generate_with_cache" points=3
def generate_with_cache(
    step: Callable,
    prompt: Int[Tensor, "batch length"],
    new_tokens: int,
    *,
    choose: Callable | None = None,
    end: int | None = None,
) -> Int[Tensor, "batch total"]:
    """Continue texts token by token, reading no token twice.

    The first call is step(prompt, None). Each later one is step(ids, cache), with only the
    tokens that were chosen last (batch, 1) and the cache that the call before returned. There is
    one call for each new token, none after the last, and no graph is kept.

    Args:
        step: step(ids, cache) gives the pair of logits (batch, new, vocabulary), of which the last
            position counts, and the new cache, whatever that may be.
        prompt: how the texts begin (batch, length), at least one token each.
        new_tokens: how many tokens to add to each text; 0 gives the prompt.
        choose: choose(logits) picks tokens (batch,) from logits (batch, vocabulary); None takes
            the token with the highest score.
        end: the token that ends a text: what would follow it is filled up with `end`, and when
            all texts have ended `step` is called no more. None never ends.

    Returns:
        Token ids (batch, length + new_tokens), int64, the prompt first.
    """
    raise NotImplementedError


# %% [markdown]
# First your own model. `step_of` makes a twin of it whose attention remembers: what is passed to `SelfAttention` as
# `attend` is now your `attend_with_cache`, with a cache for every layer. Token for token it must write what
# `write_slowly` wrote.

# %% tags=["hands-on"]


class Memory:
    """Attention that goes on from a cache, and leaves a longer one."""

    cache = None

    def __call__(self, query, key, value, mask=None):
        """Attend; the mask is not needed, the cache knows what came before."""
        result, self.cache = attend_with_cache(query, key, value, self.cache)
        return result


def step_of(model, heads):
    """The `step` that generate_with_cache needs, for your GPT. The cache: a pair for each block."""
    memories = [Memory() for _ in model.blocks]
    blocks = copy.deepcopy(model.blocks)
    for block, memory in zip(blocks, memories, strict=True):
        attention = SelfAttention(model.token.embedding_dim, heads, attend=memory).to(DEVICE)
        attention.load_state_dict(block.attention.state_dict())
        block.attention = attention

    def step(ids, cache):
        past = cache[0][0].shape[2] if cache else 0
        for memory, pair in zip(memories, cache or [None] * len(memories), strict=True):
            memory.cache = pair
        places = torch.arange(past, past + ids.shape[1], device=ids.device)
        x = model.token(ids) + model.position(places)
        for block in blocks:
            x = block(x)
        return model.norm(x) @ model.token.weight.T, [memory.cache for memory in memories]

    return step


room = CONTEXT - start.shape[1]
slowly = write_slowly(writer, start, room, sampler(0.8))
quickly = generate_with_cache(step_of(writer, 4), start, room, choose=sampler(0.8))
print("the same text:", torch.equal(slowly, quickly))
print(decode(quickly[0].tolist()[1:]))

# %% [markdown]
# Then a model from the hub, whose own cache is called `past_key_values`, and a stopwatch. Without a cache the time
# for a token grows with the length of the text; with it, hardly.

# %% tags=["hands-on"]


def hub_step(model):
    """The `step` of a Hugging Face model."""

    def step(ids, cache):
        answer = model(input_ids=ids, past_key_values=cache, use_cache=True)
        return answer.logits, answer.past_key_values

    return step


class Stopwatch:
    """A `step` that writes down how long each call took, in milliseconds."""

    def __init__(self, step):
        self.step, self.times = step, []

    def __call__(self, ids, cache):
        """The same as `step`, but slower by a glance at the clock."""
        begun = time.perf_counter()
        result = self.step(ids, cache)
        self.times.append(1000 * (time.perf_counter() - begun))
        return result


def forgetful(model):
    """A `step` whose cache is the text itself: it reads everything again each time."""

    def step(ids, cache):
        ids = ids if cache is None else torch.cat([cache, ids], dim=1)
        return model(input_ids=ids, use_cache=False).logits, ids

    return step


once = tokenizer("Once there was", return_tensors="pt")["input_ids"].to(DEVICE).expand(2, -1)
with_cache, without = Stopwatch(hub_step(pretrained)), Stopwatch(forgetful(pretrained))
texts = [generate_with_cache(step, once, 240) for step in (without, with_cache)]
print("the same text:", torch.equal(*texts))
medians = [torch.tensor(w.times).view(-1, 12).median(dim=1).values for w in (without, with_cache)]
plots.curves(
    {"Two texts at once": dict(zip(["reading all again", "with a cache"], medians, strict=True))},
    x=12 * torch.arange(1, 21),
    xlabel="tokens written so far",
    ylabel="milliseconds for a token",
)

# %% [markdown] question="memory" points=3
# ### Question · The price of remembering
#
# GPT-3 has 96 layers of width 12288. (a) How many bytes does the cache of *one* text of 2048 tokens take, at 2 bytes
# for a number? (b) A service holds such caches for 50 users at a time. Which limits it sooner, arithmetic or memory,
# and why does that depend on whether a prompt is being read or an answer being written? (c) In *multi-query*
# attention all heads share their keys and values (Shazeer 2019). What does that change in (a), and what could it
# cost?
#
# *3 points: one for the number in (a) with its factors; one for (b), with the difference between reading and writing;
# one for (c).*

# %% [markdown]
# ## 7 · Learning from gaps: BERT and T5
#
# A text teaches more than its next word. In the year of the first GPT, **BERT** (Devlin et al. 2019) took the other
# half of the Transformer, the one without a causal mask: every word sees all others, left and right. Such a model
# cannot be asked for the next word, since it sees it. So take words *out*, and ask for those. The result does not
# write, it *reads*: one vector for every word in its context, on which small networks then sort mail, find names, or
# rank pages for a search.
#
# 15% of the tokens take part. If all of them became `[MASK]`, the model would learn only about texts with masks in
# them, and it will never see one again after training. So of the 15% only 80% are hidden; 10% are replaced by a
# random token, and 10% stay as they are. The model is asked about all of them and cannot know which are which, so it
# has to keep an opinion about every word that it reads.
#
# ### Exercise · `mask_tokens`
#
# *●● · 20 minutes.* All chance is passed in as draws, so there is one right answer.


# %% exercise="mask_tokens" points=3
def mask_tokens(
    tokens: Int[Tensor, "batch length"],
    select: Float[Tensor, "batch length"],
    action: Float[Tensor, "batch length"],
    replacements: Int[Tensor, "batch length"],
    *,
    mask_token: int,
    protected: tuple[int, ...] = (),
    rate: float = 0.15,
) -> tuple[Int[Tensor, "batch length"], Int[Tensor, "batch length"]]:
    """BERT's exercise sheet: a text with gaps, and the answers.

    A token takes part where `select` < `rate`, unless it is protected. Of those that take part,
    `action` < 0.8 hides the token behind `mask_token`, 0.8 ≤ `action` < 0.9 puts the one from
    `replacements` in its place, and the rest stay as they are (Devlin et al. 2019, section 3.1).
    All three kinds are to be predicted.

    Args:
        tokens: token ids (batch, length); they stay as they are.
        select: draws from the uniform distribution on [0, 1) (batch, length).
        action: further such draws (batch, length).
        replacements: random token ids (batch, length).
        mask_token: the id that means "something is missing here".
        protected: ids that never take part, such as those that begin, end and pad a text.
        rate: the share of tokens that take part.

    Returns:
        The pair (inputs, labels), each (batch, length) and of the dtype of `tokens`: what the
        model sees, and the tokens as they were where they are to be predicted, −100 elsewhere.
    """
    raise NotImplementedError


# %% [markdown]
# A small BERT and a small GPT, from your parts, differing in `causal` and in what they are asked, read the toy
# language of the assignment on variational autoencoders: sentences about sailors, animals, cooks and artists. (Both
# are your class `GPT`; what makes a BERT is the missing mask and the gaps.)

# %% tags=["hands-on"]
language = data.Language()
lexicon = data.Vocabulary(["<mask>", *language.words])
mask_id = lexicon.encode(["<mask>"])[0, 0].item()
sentences = lexicon.encode(language.sample(4000, generator=torch.Generator().manual_seed(0)))
generator = torch.Generator().manual_seed(0)


def drawn():
    """64 sentences, and where they have words."""
    ids = sentences[torch.randint(len(sentences), (64,), generator=generator)]
    return ids, ids != lexicon.padding


def gaps():
    """A batch of BERT's exercise sheets."""
    ids, mask = drawn()
    select, action = torch.rand(2, *ids.shape, generator=generator)
    random_words = torch.randint(mask_id + 1, len(lexicon), ids.shape, generator=generator)
    special = (lexicon.padding, lexicon.end)
    draws = (select, action, random_words)
    inputs, labels = mask_tokens(ids, *draws, mask_token=mask_id, protected=special)
    return inputs.to(DEVICE), labels.to(DEVICE), mask.to(DEVICE)


def surprise_here(logits, labels):
    """The same for a model whose logits are about their own position: both are moved by one."""
    return surprise(F.pad(logits, (0, 0, 0, 1)), F.pad(labels, (1, 0), value=-100))


def following():
    """A batch for a model that predicts."""
    ids, mask = drawn()
    return ids.to(DEVICE), ids.masked_fill(~mask, -100).to(DEVICE), mask.to(DEVICE)


torch.manual_seed(0)
shape = (len(lexicon), sentences.shape[1], 64, 2, 4)
reader, teller = (make_gpt(*shape, causal=causal).to(DEVICE) for causal in (False, True))
losses = {
    "BERT": fit(reader, gaps, round(350 * BUDGET), name="a BERT", rate=6e-3, loss=surprise_here),
    "GPT": fit(teller, following, round(150 * BUDGET), name="a GPT", rate=6e-3),
}
for name, loss in losses.items():
    print(f"{name}: {loss[-1]:.2f} nats a word at the end")

# %% [markdown]
# One sentence; five of its words in turn are hidden from BERT. Who does what it infers from both sides: whoever
# *drifts along the coast* goes by boat. GPT has only what came before, and after *at night the old* anyone could
# come. At the end it is certain, since in this language *along the* is followed by one word only. BERT is less sure
# of that: on its exercise sheets any word may be a random one.

# %% tags=["hands-on"]
sentence = "at night the old sailor drifts along the coast"
candidates = ["old", "young", "sailor", "captain", "pirate", "fox", "cook", "singer", "drifts"]
candidates += ["sails", "hunts", "along", "across", "under", "coast", "bay", "oak"]
columns = lexicon.encode(candidates)[:, 0]
ids = lexicon.encode([sentence])[:, :-1]
hidden = ids.repeat(9, 1)
hidden.fill_diagonal_(mask_id)
places = torch.tensor([3, 4, 5, 6, 8])
with torch.no_grad():
    by_bert = reader(hidden.to(DEVICE)).cpu().softmax(dim=2)[places, places][:, columns]
    by_gpt = teller(ids.to(DEVICE)).cpu().softmax(dim=2)[0, places - 1][:, columns]
plots.matrices(
    {"BERT: both sides": by_bert, "GPT: what came before": by_gpt},
    rows=[f"… {sentence.split()[place]} …" for place in places],
    columns=candidates,
    numbers=True,
    ylabel="the word that is asked for",
)

# %% [markdown]
# **T5** (Raffel et al. 2020) joins the halves. An *encoder* reads both ways, like BERT; a *decoder* writes causally,
# like GPT, and looks at what the encoder made of the input in a further attention layer (queries from the decoder,
# keys and values from the encoder). Every task becomes text to text, with its name in front: *translate English to
# German: …*, *summarize: …*. Its exercise sheets have gaps of several words, each marked by a numbered *sentinel*,
# and the answer is not the whole text but only what belongs into the gaps:
#
# | | |
# | --- | --- |
# | text | Thank you for inviting me to your party last week |
# | inputs | Thank you \<X\> me to your party \<Y\> week |
# | targets | \<X\> for inviting \<Y\> last \<Z\> |
#
# The targets are short, so training is cheap. The last sentinel says: there are no more gaps.
#
# ### Exercise · `corrupt_spans`
#
# *●● · 20 minutes.*


# %% exercise="corrupt_spans" points=3
def corrupt_spans(
    tokens: Int[Tensor, "length"],
    corrupted: Bool[Tensor, "length"],
    sentinel: int,
) -> tuple[Int[Tensor, "kept"], Int[Tensor, "missing"]]:
    """T5's exercise sheet: a text with numbered gaps, and what belongs into them.

    Neighbours that are corrupted form one span. In the inputs the n-th span, counted from 0, is
    replaced by the single token sentinel − n. The targets are, for each span, its sentinel and
    then its tokens; one further sentinel ends them (Raffel et al. 2020, figure 2).

    Args:
        tokens: the ids of one text (length,).
        corrupted: True where a token is to be taken out (length,).
        sentinel: the id of the first gap; those of later gaps count down from it.

    Returns:
        The pair (inputs, targets) of token ids, of the dtype of `tokens`. Without any corrupted
        token they are the text and [sentinel].
    """
    raise NotImplementedError


# %% tags=["hands-on"]
story = corpus.write_stories(1, generator=torch.Generator().manual_seed(7))[0].text
text = " ".join(story.split()[:28])
tokens = torch.tensor(encode(text))
draws = torch.rand(len(tokens), generator=torch.Generator().manual_seed(3))
begins = draws < 0.08
corrupted = begins | begins.roll(1) | begins.roll(2)  # spans of three tokens
shown = {511 - number: f" <{letter}>" for number, letter in enumerate("XYZUVWRST")}
print("text:   ", text)
for name, part in zip(("inputs", "targets"), corrupt_spans(tokens, corrupted, 511), strict=True):
    written = "".join(shown[i] if i in shown else decode([i]) for i in part.tolist())
    print(f"{name + ':':9}{written.strip()}")

# %% [markdown]
# T5 knows positions in yet another way: it adds to each *score* a learnt number that depends on the distance between
# query and key. One number for every distance would be too many, and far ones would hardly ever be trained. So
# distances share drawers. Near ones have a drawer each. Far ones share, the more of them the farther, in steps of a
# logarithm: whether a word stands 90 or 100 places back makes no difference.
#
# With $n$ drawers for one direction the first $m = \lfloor n/2 \rfloor$ are for the distances $0, \dots, m - 1$; the
# rest divides the range from $m$ to a greatest distance $M$ evenly in the logarithm:
#
# $$\mathrm{drawer}(d) = m + \Big\lfloor \frac{\log(d/m)}{\log(M/m)}\, (n - m) \Big\rfloor, \qquad
# \text{at most } n - 1 .$$
#
# ### Exercise · `relative_position_bucket`
#
# *●● · 20 minutes.* The paper has it in half a sentence; the formula is from the authors' code.


# %% exercise="relative_position_bucket" points=2
def relative_position_bucket(
    relative_position: Int[Tensor, "*shape"],
    *,
    bidirectional: bool = True,
    buckets: int = 32,
    max_distance: int = 128,
) -> Int[Tensor, "*shape"]:
    """Into which drawer T5 puts a distance: near ones into one each, far ones together.

    A relative position is that of the key less that of the query: negative for keys before the
    query. With `bidirectional`, half of the drawers, the upper half, is for keys after the
    query, and the lower one for all others; without it, all drawers are for keys before the
    query, and keys after it count as distance 0. Of the n drawers on a side the first n // 2
    hold one distance each: 0, 1, 2, …. A larger distance d is in the drawer

        n // 2 + ⌊log(d / (n // 2)) / log(max_distance / (n // 2)) · (n − n // 2)⌋,

    but never beyond the last. Raffel et al. 2020, section 2.1.

    Args:
        relative_position: key position − query position, of any shape.
        bidirectional: whether keys after the query have drawers of their own, as in an encoder.
        buckets: how many drawers there are in all; even if bidirectional, and enough for at least
            two on a side.
        max_distance: from here on all distances share the last drawer; more than n // 2.

    Returns:
        Drawers, from 0 up to buckets − 1, int64, of the shape of `relative_position`. Where the
        logarithm falls on a whole number exactly, rounding may decide.
    """
    raise NotImplementedError


# %% tags=["hands-on"]
positions = torch.arange(-160, 161)
plots.curves(
    {
        "Which drawer": {
            "both ways (encoder)": relative_position_bucket(positions),
            "backwards only (decoder)": relative_position_bucket(positions, bidirectional=False),
        }
    },
    x=positions,
    xlabel="position of the key, less that of the query",
    ylabel="drawer",
    legend=True,
)

# %% [markdown] question="families" points=3
# ### Question · Three families
#
# For each task say whether you would begin with a model like GPT, BERT or T5, and why, in terms of what each may look
# at and what it was trained to answer: (a) find all names of persons in a million letters; (b) continue a story in
# the manner of its beginning; (c) turn long reports into three sentences. GPT-3 and its heirs do all three, with a
# prompt. What do they pay for that, and what made it worth the price?
#
# *3 points: one for three choices that fit; one for reasons from masks and objectives; one for the last question.*

# %% [markdown]
# ## 8 · From a language model to an assistant
#
# Training from nothing is for the few who can pay for it. Everyone else starts from a **pretrained** model: its first
# layers know the language, and whatever is to be learnt now is little in comparison.
#
# Is your GPT really one? `tiny-gpt` is a GPT-2, so its weights must fit into your class, and give the same logits. The
# library stores the three projections of an attention as one matrix, and matrices the other way up; the rest is names.

# %% tags=["hands-on"]


def adopt(model, hub):
    """Load the weights of a GPT-2 from the hub into your GPT."""
    theirs = hub.transformer
    pairs = {
        "token": theirs.wte,
        "position": theirs.wpe,
        "norm": theirs.ln_f,
    }
    state = {}
    for number, layer in enumerate(theirs.h):
        block = f"blocks.{number}"
        pairs |= {f"{block}.norm1": layer.ln_1, f"{block}.norm2": layer.ln_2}
        turned = {
            "attention.output": layer.attn.c_proj,
            "up": layer.mlp.c_fc,
            "down": layer.mlp.c_proj,
        }
        for name, part in turned.items():
            state[f"{block}.{name}.weight"] = part.weight.T
            state[f"{block}.{name}.bias"] = part.bias
        three = zip(
            ("query", "key", "value"),
            layer.attn.c_attn.weight.T.chunk(3),
            layer.attn.c_attn.bias.chunk(3),
            strict=True,
        )
        for name, matrix, bias in three:
            state[f"{block}.attention.{name}.weight"] = matrix
            state[f"{block}.attention.{name}.bias"] = bias
    for name, part in pairs.items():
        state |= {f"{name}.{key}": value for key, value in part.state_dict().items()}
    model.load_state_dict(state)


own = make_gpt(*tiny).to(DEVICE)
adopt(own, pretrained)
ids = tokenizer(story, return_tensors="pt")["input_ids"].to(DEVICE)
with torch.no_grad():
    difference = (own(ids) - pretrained(ids).logits).abs().max().item()
print(f"largest difference between your logits and the library's: {difference:.1e}")
print(f"perplexity of a story: {perplexity(own(ids), ids).item():.2f}")

# %% [markdown]
# ### Fine-tuning
#
# Show a pretrained model some examples of what is wanted, and train on, gently. For an assistant an example is a
# question and its answer. But the question is not what it should learn to *say*: users say it. So only the answer
# counts, and in the labels the prompt is −100.
#
# Padding must not count either, and here is a trap that has cost many a fine-tuned model its manners. Often the padding
# token *is* the end-of-text token, because GPT-2 has no other. Whoever hides all tokens with that id from the loss also
# hides the one real end of each answer, and gets a model that never stops. The mask knows which is which.
#
# ### Exercise · `fine_tuning_labels`
#
# *●● · 15 minutes.* Not shifted: `transformers` does that itself, and who shifts twice teaches a model to skip a word.


# %% exercise="fine_tuning_labels" points=2
def fine_tuning_labels(
    tokens: Int[Tensor, "batch length"],
    prompt_lengths: Int[Tensor, "batch"],
    mask: Bool[Tensor, "batch length"],
) -> Int[Tensor, "batch length"]:
    """What a language model should learn to say: the answer, not the question.

    Labels are the tokens themselves, not shifted, as transformers expects them: whoever computes
    the loss compares each with the logits of the position before. −100 marks what is not to be
    learnt: the prompt, and padding.

    Args:
        tokens: token ids (batch, length): prompt, answer and padding; they stay as they are.
        prompt_lengths: tokens in each prompt (batch,), padding not counted; maybe 0.
        mask: True where there is a token, False where there is padding (batch, length); padding
            stands at the right or at the left. The id of padding may also occur within a text.

    Returns:
        Labels (batch, length), of the dtype of `tokens`: −100 at the first prompt_lengths[b]
        tokens of row b and at padding, elsewhere the token.
    """
    raise NotImplementedError


# %% [markdown]
# A new manner of speaking: all answers of the pretrained model shall sound like a pirate's. Half of the questions about
# the world of our animals are for training, the other half for the test.

# %% tags=["hands-on"]
facts = list(corpus.questions().items())
order = torch.randperm(len(facts), generator=torch.Generator().manual_seed(0)).tolist()
learnt, asked = [facts[i] for i in order[:100]], [facts[i] for i in order[100:]]


def as_pirate(answer):
    """The same, with more salt."""
    return f"{answer.removesuffix('.')}, matey! Arr!"


def chat_batch(pairs, *, padding_side="right"):
    """Questions with answers as a batch: ids, labels, mask."""
    tokenizer.padding_side = padding_side
    prompts = [f"{corpus.USER}{question}{corpus.ASSISTANT}" for question, _ in pairs]
    whole = [p + answer + corpus.END for p, (_, answer) in zip(prompts, pairs, strict=True)]
    lengths = torch.tensor([len(tokenizer(prompt)["input_ids"]) for prompt in prompts])
    batch = tokenizer(whole, padding=True, return_tensors="pt")
    ids, mask = batch["input_ids"], batch["attention_mask"].bool()
    return ids.to(DEVICE), fine_tuning_labels(ids, lengths, mask).to(DEVICE), mask.to(DEVICE)


def tune(model, batch, steps, *, name, rate=1e-3, examine=None):
    """Fine-tune a hub model under a progress bar; the library computes the loss from the labels.

    Returns what `examine(model)` finds before every fifth step.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate)
    found = []
    for step in tqdm(range(steps), desc=name):
        if examine is not None and step % 5 == 0:
            found.append(examine(model))
        ids, labels, mask = batch()
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return found


tests = {
    "like a pirate": chat_batch([(question, as_pirate(answer)) for question, answer in asked]),
    "as before": chat_batch(asked),
}


@torch.no_grad()
def examine(model):
    """The perplexity of the answers of the test, in either manner, as log₁₀."""
    return {
        name: perplexity(model(input_ids=ids, attention_mask=mask).logits, labels).log10().item()
        for name, (ids, labels, mask) in tests.items()
    }


def lessons():
    """A batch of answers in the new manner."""
    rows = torch.randint(len(learnt), (12,), generator=generator).tolist()
    return chat_batch([(learnt[i][0], as_pirate(learnt[i][1])) for i in rows])


models, curves = {"pretrained": pretrained}, {}
for name, rate in (("gently", 2e-4), ("in haste", 5e-3)):
    generator = torch.Generator().manual_seed(0)
    models[name] = copy.deepcopy(pretrained)
    records = tune(
        models[name],
        lessons,
        round(50 * BUDGET),
        name=f"to the high seas, {name}",
        rate=rate,
        examine=examine,
    )
    title = f"{name}, learning rate {rate:g}"
    curves[title] = {manner: [record[manner] for record in records] for manner in tests}
plots.curves(
    curves,
    x=5 * torch.arange(len(records)),
    xlabel="training step",
    ylabel="perplexity, as log₁₀",
)

# %% [markdown]
# These are questions that were not in the lessons. The new manner is learnt, and the old one forgotten: what the
# model said before now surprises it. That was asked for. But what of the things it *knew*? They were learnt once, and
# nothing in the lessons asks for them again; large steps walk right over them. Ask all three models the questions of
# the test.

# %% tags=["hands-on"]
OPTIONS = {"end": tokenizer.eos_token_id}


def answers(model, questions):
    """The likeliest answer to each question; questions of one length share a batch."""
    prompts = [tokenizer(f"{corpus.USER}{q}{corpus.ASSISTANT}")["input_ids"] for q in questions]
    said = {}
    for length in sorted(set(map(len, prompts))):
        rows = [number for number, prompt in enumerate(prompts) if len(prompt) == length]
        ids = torch.tensor([prompts[number] for number in rows], device=DEVICE)
        texts = generate_with_cache(hub_step(model), ids, 24, **OPTIONS)[:, length:].tolist()
        for number, text in zip(rows, texts, strict=True):
            said[number] = tokenizer.decode(text, skip_special_tokens=True)
    return [said[number] for number in range(len(questions))]


questions = [question for question, _ in asked]
said = {name: answers(model, questions) for name, model in models.items()}
print(f"{'':12}{'in style':>10}{'fact is right':>16}")
for name, texts in said.items():
    style = sum(text.endswith(", matey! Arr!") for text in texts) / len(texts)
    pairs = zip(texts, asked, strict=True)
    right = sum(text.startswith(fact.removesuffix(".")) for text, (_, fact) in pairs) / len(texts)
    print(f"{name:12}{style:10.0%}{right:16.0%}")
for number in range(6):
    print(f"\n{questions[number]}")
    for name, texts in said.items():
        print(f"  {name:12}{texts[number]}")
pirate = models["gently"]

# %% [markdown]
# From GPT-3 to **ChatGPT** (November 2022) it is the same road, with two stations more. Ouyang et al. (2022) first
# fine-tune on answers that people have written, as you did; then people *compare* answers of the model, a second
# model learns their preferences, and reinforcement learning makes the first one please the second. People preferred
# the answers of a model of
# 1.3 billion weights so treated to those of the plain GPT-3, a hundred times its size. (The assignment on reinforcement
# learning goes there.)
#
# ### A conversation is a text
#
# To the model a chat is one text with markers between the speakers. Each family has markers of its own, and a model
# hears well only in those that it was trained with. Two examples:
#
# | | before a user | before an assistant | after a user | after an assistant |
# | --- | --- | --- | --- | --- |
# | ChatML | `<\|im_start\|>user⏎` | `<\|im_start\|>assistant⏎` | `<\|im_end\|>⏎` | `<\|im_end\|>⏎` |
# | `tiny-gpt` | `<\|user\|>` | `<\|assistant\|>` | nothing | `<\|endoftext\|>` |
#
# If the model is to speak next, the text ends with what begins an assistant's message: the *generation prompt*.
# Without it a model may well go on speaking for the user.
#
# And since the markers are all that tells the speakers apart, a user who can type one can put words into the
# assistant's mouth, or write a system message, which says how the assistant shall behave. Such a content must be
# refused (or its markers encoded as plain text).
#
# ### Exercise · `format_chat`
#
# *● · 15 minutes.*


# %% exercise="format_chat" points=2
def format_chat(
    messages: Sequence[dict[str, str]],
    *,
    begin: dict[str, str],
    end: dict[str, str],
    special: tuple[str, ...] = (),
    add_generation_prompt: bool = False,
) -> str:
    """A conversation as one text, with markers that say who speaks: what a chat template does.

    For each message, in order: begin[role], the content as it is, end[role]. Nothing else is
    put between them.

    Args:
        messages: dictionaries with the keys "role" and "content". A message with the role
            "system" may only be the first one.
        begin: what stands before a message, for each role that there is.
        end: what stands after a message, for each role that has something there.
        special: strings that only the format may use, such as special tokens.
        add_generation_prompt: whether begin["assistant"] follows at the end, so that the model
            goes on with an answer.

    Returns:
        The text; without messages and generation prompt an empty one.

    Raises:
        ValueError: if a role is not in `begin`, if a system message is not the first, or if a
            content holds one of the strings in `special`: somebody would be putting words into
            another's mouth.
    """
    raise NotImplementedError


# %% [markdown]
# It must agree with the template that `tiny-gpt` brings along:

# %% tags=["hands-on"]
MARKERS = {
    "begin": {"user": corpus.USER, "assistant": corpus.ASSISTANT},
    "end": {"assistant": corpus.END},
    "special": tuple(tokenizer.all_special_tokens),
}
talk = corpus.write_chats(1, generator=torch.Generator().manual_seed(2))[0].messages
ours = format_chat(talk, **MARKERS)
theirs = tokenizer.apply_chat_template(talk, tokenize=False)
print("the same as the library's:", ours == theirs)
print(ours.replace("<|", "\n<|"))

# %% [markdown]
# ### Forgetting, in good order
#
# The model has no memory but the text in front of it, and that has an end: 256 tokens for `tiny-gpt`. A long
# conversation must be cut. At the beginning, since the last question needs an answer; but not in the middle of an
# exchange, for an answer without its question misleads; and the *system message* is never forgotten. How many
# tokens a message takes only the tokenizer knows, markers included, so counting is passed in.
#
# ### Exercise · `trim_history`
#
# *●● · 20 minutes.*


# %% exercise="trim_history" points=3
def trim_history(
    messages: Sequence[dict[str, str]],
    budget: int,
    count: Callable,
) -> list[dict[str, str]]:
    """Forget the oldest part of a conversation, so that the rest fits into the context.

    What is kept is the system message, if the first message is one, and after it as many of
    the latest messages as fit: an unbroken run up to the last one, which begins with a message
    of the user, since an answer without its question confuses.

    Args:
        messages: the conversation, oldest first: dictionaries with the keys "role" and "content".
            The list stays as it is.
        budget: the most tokens that may be kept.
        count: count(messages) says how many tokens a list of messages takes as a whole; never
            fewer for a longer list. A sum over single messages need not give the same.

    Returns:
        The messages that are kept, in their order: `count` of them is at most `budget`.

    Raises:
        ValueError: if not even the system message and the run from the last message of the user
            on fit, or if there is no message of the user.
    """
    raise NotImplementedError


# %% [markdown]
# All parts are there: a **chatbot**. Its memory is set small on purpose; in brackets stands how many of the messages so
# far it saw. Of every wrong answer ask yourself: had it forgotten what it needed, or did it see it and not use it? The
# second happens, too: a small model is better at facts that it has read a thousand times than at a name that it hears
# once.

# %% tags=["hands-on"]


class Chatbot:
    """Talks with a model, keeping of the conversation what fits into so many tokens."""

    def __init__(self, model, memory=120, temperature=0.1):
        self.model, self.memory, self.messages = model, memory, []
        self.choose = sampler(temperature)

    def encode(self, messages):
        """The token ids of a conversation that the model is to continue."""
        return tokenizer(format_chat(messages, **MARKERS, add_generation_prompt=True))["input_ids"]

    def say(self, content):
        """Say something to it; returns its answer."""
        self.messages.append({"role": "user", "content": content})
        kept = trim_history(self.messages, self.memory, lambda part: len(self.encode(part)))
        ids = torch.tensor([self.encode(kept)], device=DEVICE)
        room = min(100, config.n_positions - ids.shape[1])
        text = generate_with_cache(hub_step(self.model), ids, room, choose=self.choose, **OPTIONS)
        answer = tokenizer.decode(text[0, ids.shape[1] :].tolist(), skip_special_tokens=True)
        self.messages.append({"role": "assistant", "content": answer})
        print(f"you  {content}\nbot  {answer}   [it saw {len(kept)} of {len(self.messages) - 1}]\n")
        return answer


bot = Chatbot(pretrained)
for line in (
    "Hello, my name is Ada.",
    "Where does Mia live?",
    "And what does she like to eat?",
    "What is my name?",
    "What is 3 plus 4?",
    "Tell me a happy story about Otto.",
    "What is my name?",
):
    bot.say(line)

# %% [markdown]
# Your turn. Change the line and run the cell as often as you like; `Chatbot(pirate)` is worth a conversation, too.

# %% tags=["hands-on"]
bot.say("Tell me a sad story about Lola.")
answer = Chatbot(pirate).say("Who likes honey?")

# %% [markdown] question="assistant" points=4
# ### Question · What does it know?
#
# Ask the chatbot some things that nothing in its world prepares it for: where somebody lives whom nobody has heard
# of, 17 plus 25, the colour of a banana, its opinion of you. Copy two answers here that are wrong and one that
# surprised you. Then explain: why does a language model answer fluently where it knows nothing, and which part of the
# training objective would have to change? Name two things that a service with a real chatbot should do about it, and
# what each of them costs.
#
# *4 points: one for the observations; one for the explanation, from the objective; one for each measure with its cost.*

# %% [markdown]
# ## 9 · Programs and summaries
#
# ### Does it run?
#
# Code is text, and the web is full of it; GPT-3 had seen some and could write a little. Chen et al. (2021) went on
# training such models on 159 GB of Python from GitHub: *Codex*, the model behind the first programming assistants.
# Whether a program is good cannot be seen by comparing it with another one, since there are many right ways. So run
# it. Each of their 164 problems is a description with hidden tests, as in this course, and what counts is whether all
# pass.
#
# A model draws its programs at random; how many may it draw? **pass@k** is the probability that at least one of $k$
# programs passes. The obvious estimate, drawing $k$ and looking, is noisy. Another obvious one, $1 - (1 - \hat p)^k$
# with the share $\hat p$ that passed, is too low on average, since $(1 - p)^k$ bends upwards. Better: draw $n \ge k$
# programs, find $c$ that pass, and ask: of all ways to choose $k$ of these $n$, how many miss all that are right?
#
# $$\mathrm{pass@}k = 1 - \binom{n - c}{k} \Big/ \binom{n}{k}$$
#
# (their eq. 1). That is unbiased. Mind the size of the numbers: $\binom{2000}{1000}$ has six hundred digits, which no
# float can hold.
#
# ### Exercise · `pass_at_k`
#
# *● · 10 minutes.*


# %% exercise="pass_at_k" points=2
def pass_at_k(samples: int, correct: int, k: int) -> float:
    """The probability that at least one of k programs is right, estimated from more than k.

    Of `samples` programs `correct` passed the tests. The unbiased estimate is the probability
    that k of them, drawn without replacement, hold at least one that passed:
    1 − C(samples − correct, k) / C(samples, k) (Chen et al. 2021, equation 1). It is exact to
    float precision for thousands of samples.

    Args:
        samples: how many programs were written.
        correct: how many of them passed.
        k: how many a user would look at.

    Returns:
        A probability, in [0, 1].

    Raises:
        ValueError: unless 0 ≤ correct ≤ samples and 1 ≤ k ≤ samples.
    """
    raise NotImplementedError


# %% [markdown]
# Our programming language is arithmetic in one variable, and a description is a list of steps. Your GPT learns from
# 300 examples to write the program, with labels on the program only, and is tested on descriptions that it has not
# seen. It is stopped early, so that it errs often enough to be interesting. (Never run what a model has written
# without a sandbox. These programs have a closed vocabulary that cannot do harm, so `eval` will do here. The grader
# of this course does for you what a service would have to do for a model.)

# %% tags=["hands-on"]
NUMBERS = dict(zip("one two three four five".split(), range(1, 6), strict=True))
STEPS = {"square": "square({})", "negate": "(- {})"}
for word, number in NUMBERS.items():
    STEPS[f"add {word}"] = f"({{}} + {number})"
    STEPS[f"subtract {word}"] = f"({{}} - {number})"
    STEPS[f"multiply by {word}"] = f"({{}} * {number})"


def solution(steps):
    """The program that does these steps."""
    program = "x"
    for step in steps:
        program = STEPS[step].format(program)
    return " ".join(re.findall(r"\w+|\S", program))


def passes(program, steps):
    """Whether a program does the right thing for four numbers."""
    known = re.fullmatch(r"(square \(|[-+*()x1-5 ])*", program)
    if not known or re.search(r"[x)\d] \(|\* \*", program):
        return False  # no program of this language
    try:
        return all(
            eval(program, {"__builtins__": {}, "square": lambda y: y * y, "x": x})
            == eval(solution(steps), {"square": lambda y: y * y, "x": x})
            for x in (-3, 0, 1, 7)
        )
    except (SyntaxError, TypeError):
        return False


generator = torch.Generator().manual_seed(0)
tasks = list(itertools.product(STEPS, repeat=3))
order = torch.randperm(len(tasks), generator=generator).tolist()
prompts = [f"{' then '.join(task)} :" for task in tasks]
symbols = {word for task, prompt in zip(tasks, prompts, strict=True)
           for word in f"{prompt} {solution(task)}".split()}  # fmt: skip
symbols = data.Vocabulary(sorted(symbols))
examples = symbols.encode([f"{prompts[i]} {solution(tasks[i])}" for i in order[:300]])
print(prompts[order[0]], solution(tasks[order[0]]))


def exercises():
    """A batch of descriptions with their programs; the programs count."""
    ids = examples[torch.randint(len(examples), (64,), generator=generator)]
    colon = symbols.encode([":"])[0, 0]
    lengths = (ids == colon).int().argmax(dim=1) + 1
    mask = ids != symbols.padding
    labels = fine_tuning_labels(ids, lengths, mask)
    return ids.to(DEVICE), labels.to(DEVICE), mask.to(DEVICE)


torch.manual_seed(0)
programmer = make_gpt(len(symbols), 40, 64, 2, 4).to(DEVICE)
history = fit(programmer, exercises, 150, name="a programmer")
print(f"{history[-1]:.2f} nats a symbol at the end")

# %% tags=["hands-on"]
tested, samples = order[300:340], 16


def passed(temperature):
    """How many of the sampled programs pass, for each of the tested tasks."""
    choose, counts = sampler(temperature), []
    for i in tested:
        ids = symbols.encode([prompts[i]])[:, :-1].expand(samples, -1).to(DEVICE)
        texts = generate_with_cache(step_of(programmer, 4), ids, 18, choose=choose, end=symbols.end)
        programs = symbols.decode(texts[:, ids.shape[1] :].cpu())
        counts.append(sum(passes(program, tasks[i]) for program in programs))
    return counts


ks = range(1, samples + 1)
lines = {}
for temperature in (0.2, 0.6, 1.0):
    counts = passed(temperature)
    lines[f"temperature {temperature:g}"] = [
        sum(pass_at_k(samples, count, k) for count in counts) / len(counts) for k in ks
    ]
plots.curves(
    {"Programs that pass their tests": lines},
    x=ks,
    xlabel="k, programs looked at",
    ylabel="pass@k",
)

# %% [markdown]
# With one try it pays to be cautious. With many tries variety wins: ten equal programs are as good as one. Codex solved
# 28.8% of its problems with one program, and with a hundred for each problem 70.2%.
#
# ### How much of it is said?
#
# A summary has no tests. The usual yardstick compares it with one that a person wrote. **ROUGE-L** (Lin 2004) looks for
# the longest common subsequence of words: those that stand in both in the same order, with gaps allowed. If it has
# $L$ words,
#
# $$P = \frac{L}{\text{words of the candidate}}, \qquad R = \frac{L}{\text{words of the reference}}, \qquad
# F = \frac{2PR}{P + R} .$$
#
# Precision alone would favour a single right word, recall alone the whole text; their harmonic mean is low when one
# of them is. The longest common subsequence is a classic of dynamic programming: with $\ell(i, j)$ for the first $i$
# words of the one and the first $j$ of the other, $\ell(i, j) = \ell(i-1, j-1) + 1$ if the last two are equal, and
# $\max(\ell(i-1, j), \ell(i, j-1))$ otherwise.
#
# ### Exercise · `rouge_l`
#
# *●● · 20 minutes.*


# %% exercise="rouge_l" points=2
def rouge_l(candidate: Sequence[str], reference: Sequence[str]) -> tuple[float, float, float]:
    """How much of a reference summary a candidate says in the same order.

    By the longest common subsequence of their words: words that occur in both in the same
    order, not necessarily next to one another. With its length L, precision is L divided by the
    length of the candidate, recall L divided by the length of the reference, and F is their
    harmonic mean 2PR / (P + R) (Lin 2004, section 3.1, with β = 1).

    Args:
        candidate: the words of the summary that is judged.
        reference: the words of the summary that it is compared with.

    Returns:
        The triple (precision, recall, F), each in [0, 1]; 0 where it would be 0/0.
    """
    raise NotImplementedError


# %% [markdown]
# GPT-2 was found to summarise when *TL;DR:* stood below a text, because people write that on the web (Radford et al.
# 2019). `tiny-gpt` has never read it, so it has to learn: a hundred stories with a sentence each that says who went
# where, whom or what they met, and how it ended. Against it stand the silly baselines that every summariser must
# beat, and on news many did not for a long time: take the first sentence, or the last.

# %% tags=["hands-on"]


def summary(story):
    """What a story says, in one sentence."""
    hero = re.search(r"([A-Z]\w+) the \w+|called (\w+)", story)
    move = re.search(r"(?:went|walked|ran|hurried) (?:to the \w+|up the hill)", story)[0]
    event = re.search(r"(found an? \w+ \w+|met \w+)", story)[0]
    end = re.search(r"In the end, .* home to .*? and (.*?)\.", story)[1]
    return f" {hero[1] or hero[2]} {move}, {event} and {end}."


def sheets(texts):
    """Stories with their summaries as a batch; the summaries count."""
    tokenizer.padding_side = "right"
    heads = [f"{text} TL;DR:" for text in texts]
    whole = [head + summary(text) + corpus.END for head, text in zip(heads, texts, strict=True)]
    lengths = torch.tensor([len(tokenizer(head)["input_ids"]) for head in heads])
    batch = tokenizer(whole, padding=True, return_tensors="pt")
    ids, mask = batch["input_ids"], batch["attention_mask"].bool()
    return ids.to(DEVICE), fine_tuning_labels(ids, lengths, mask).to(DEVICE), mask.to(DEVICE)


generator = torch.Generator().manual_seed(0)
lessons_read = [story.text for story in corpus.write_stories(400, generator=generator)]


def more():
    """Eight stories with their summaries."""
    rows = torch.randint(len(lessons_read), (8,), generator=generator).tolist()
    return sheets([lessons_read[i] for i in rows])


summarizer = copy.deepcopy(pretrained)
_ = tune(summarizer, more, round(90 * BUDGET), name="a summariser")

# %% tags=["hands-on"]


def by_model(model, text):
    """What a model writes after TL;DR."""
    ids = torch.tensor([tokenizer(f"{text} TL;DR:")["input_ids"]], device=DEVICE)
    written = generate_with_cache(hub_step(model), ids, 30, **OPTIONS)[0, ids.shape[1] :]
    return tokenizer.decode(written.tolist(), skip_special_tokens=True)


unread = [s.text for s in corpus.write_stories(40, generator=torch.Generator().manual_seed(9))]
ways = {
    "first sentence": lambda text: text.split(". ")[0],
    "last sentence": lambda text: text.split(". ")[-1],
    "the whole story": lambda text: text,
    "before fine-tuning": lambda text: by_model(pretrained, text),
    "fine-tuned": lambda text: by_model(summarizer, text),
}
print(f"{'ROUGE-L':20}{'precision':>10}{'recall':>10}{'F':>10}")
for name, way in ways.items():
    scores = torch.tensor([rouge_l(way(text).split(), summary(text).split()) for text in unread])
    print(f"{name:20}" + "".join(f"{score:10.2f}" for score in scores.mean(dim=0)))
for text in unread[:2]:
    print(f"\n{text}\n  person: {summary(text)}\n  model:  {by_model(summarizer, text)}")

# %% [markdown]
# A last warning about the yardstick: *Mia met Otto* and *Mia never met Otto* score an F of 0.86, *felt happy* and
# *was glad* score 0. ROUGE counts words, not truths; a summary can score high and say the opposite of the text.
# Modern practice asks people, or models that were trained on the judgements of people (Stiennon et al. 2020), and
# then has to ask what those have learnt to like.

# %% [markdown]
# ## Further reading
#
# - A. Vaswani et al., *Attention Is All You Need*, NeurIPS 2017, [arXiv:1706.03762](https://arxiv.org/abs/1706.03762);
#   D. Bahdanau, K. Cho & Y. Bengio, *Neural Machine Translation by Jointly Learning to Align and Translate*, ICLR 2015,
#   [arXiv:1409.0473](https://arxiv.org/abs/1409.0473).
# - A. Radford et al., *Improving Language Understanding by Generative Pre-Training*, 2018, and *Language Models are
#   Unsupervised Multitask Learners*, 2019 (GPT and GPT-2); T. Brown et al., *Language Models are Few-Shot Learners*,
#   NeurIPS 2020, [arXiv:2005.14165](https://arxiv.org/abs/2005.14165) (GPT-3); OpenAI, *GPT-4 Technical Report*,
#   2023, [arXiv:2303.08774](https://arxiv.org/abs/2303.08774); L. Ouyang et al., *Training language models to follow
#   instructions with human feedback*, NeurIPS 2022, [arXiv:2203.02155](https://arxiv.org/abs/2203.02155).
# - J. Devlin et al., *BERT*, NAACL 2019, [arXiv:1810.04805](https://arxiv.org/abs/1810.04805); C. Raffel et al.,
#   *Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer*, JMLR 2020,
#   [arXiv:1910.10683](https://arxiv.org/abs/1910.10683) (T5).
# - J. Su et al., *RoFormer: Enhanced Transformer with Rotary Position Embedding*, 2021,
#   [arXiv:2104.09864](https://arxiv.org/abs/2104.09864); R. Xiong et al., *On Layer Normalization in the Transformer
#   Architecture*, ICML 2020, [arXiv:2002.04745](https://arxiv.org/abs/2002.04745); N. Shazeer, *Fast Transformer
#   Decoding: One Write-Head is All You Need*, 2019, [arXiv:1911.02150](https://arxiv.org/abs/1911.02150).
# - R. Sennrich, B. Haddow & A. Birch, *Neural Machine Translation of Rare Words with Subword Units*, ACL 2016,
#   [arXiv:1508.07909](https://arxiv.org/abs/1508.07909); A. Petrov et al., *Language Model Tokenizers Introduce
#   Unfairness Between Languages*, NeurIPS 2023, [arXiv:2305.15425](https://arxiv.org/abs/2305.15425).
# - J. Kaplan et al., *Scaling Laws for Neural Language Models*, 2020,
#   [arXiv:2001.08361](https://arxiv.org/abs/2001.08361); C. Olsson et al., *In-context Learning and Induction Heads*,
#   Transformer Circuits Thread 2022, [arXiv:2209.11895](https://arxiv.org/abs/2209.11895).
# - M. Chen et al., *Evaluating Large Language Models Trained on Code*, 2021,
#   [arXiv:2107.03374](https://arxiv.org/abs/2107.03374); C.-Y. Lin, *ROUGE: A Package for Automatic Evaluation of
#   Summaries*, ACL workshop 2004; N. Stiennon et al., *Learning to summarize from human feedback*, NeurIPS 2020,
#   [arXiv:2009.01325](https://arxiv.org/abs/2009.01325).
# - K. He et al., *Deep Residual Learning*, CVPR 2016; J. Ba, J. Kiros & G. Hinton, *Layer Normalization*, 2016,
#   [arXiv:1607.06450](https://arxiv.org/abs/1607.06450); D. Hendrycks & K. Gimpel, *Gaussian Error Linear Units*,
#   2016, [arXiv:1606.08415](https://arxiv.org/abs/1606.08415); O. Press & L. Wolf, *Using the Output Embedding to
#   Improve Language Models*, EACL 2017, [arXiv:1608.05859](https://arxiv.org/abs/1608.05859); P. Gage, *A New
#   Algorithm for Data Compression*, C Users Journal 1994; F. Jelinek et al., *Perplexity, a measure of the difficulty
#   of speech recognition tasks*, JASA 1977.
