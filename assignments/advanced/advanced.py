# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Advanced topics and optimisation
#
# A model that works in a notebook is half a model. Somebody wants to use it for a task that it was never trained for.
# Somebody asks what it says about people, and whether it says the same about all of them. It should learn a new style,
# but there is no machine on which all its weights could be trained. It should fit on a laptop. And then it has to run,
# day and night, for many people at once, some of whom mean no good.
#
# This notebook follows one model, the small language model `tiny-gpt` that you know from earlier assignments, through
# all of that. You will
#
# - give it tasks in words, with examples (*few-shot*) and without (*zero-shot*), and correct what it would say anyway;
# - measure its prejudices by several rulers, remove some of them, and see what removal leaves behind;
# - teach it another trade by training one weight in thirty (*LoRA*), and take the lesson out again;
# - store it in eight bits a weight, and in fewer, until it breaks (*quantisation*);
# - train with less memory than training takes (*checkpointing*, *accumulation*);
# - put it on a server with a queue, a page and a door that is locked, and take it to a cloud.
#
# **How to work.** Read, fill the stub (replace `raise NotImplementedError`), run the cell, run the check below it. The
# checks are a selection: grading runs more. The docstring is the contract: shapes, units, what may be assumed.
# Everywhere in this notebook
#
# - the batch is the first dimension;
# - logarithms are natural, so log-likelihoods are in *nats*;
# - functions draw no random numbers of their own unless a `torch.Generator` is passed in;
# - results live on the device, and have the dtype, of the inputs.
#
# Cells without a stub are there to be run and played with. A default such as `adapt=LoRALinear` is fixed when its cell
# is run: after mending an earlier answer run the cells below it once more.
#
# Plan for seven hours; the six parts can be done on different days. Each exercise says how hard it is (● to
# ●●●) and how long it takes when it goes well.

# %%
import itertools
import math
import re
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from fastapi import FastAPI, HTTPException
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from jaxtyping import Float, Int, Int8
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from coursekit import check, corpus, data, plots
from coursekit.serving import (
    PAGE_HEADERS,
    Batcher,
    LimitBody,
    Overloaded,
    ask,
    ask_together,
    headers_of,
    page,
)

# %% tags=["hands-on"]
BUDGET = 1.0  # how long everything is trained; with a GPU, try 10
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"

import copy
from contextlib import ExitStack

from tqdm.auto import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from coursekit.memory import Ledger
from coursekit.serving import send, serve, writer

logging.disable_progress_bar()
FOLDER = data.checkpoint("tiny-gpt")
tokenizer = AutoTokenizer.from_pretrained(FOLDER, padding_side="left")
gpt = AutoModelForCausalLM.from_pretrained(FOLDER).to(DEVICE).eval()


def steps(number):
    """So many training steps, as far as the budget goes."""
    return max(2, round(number * BUDGET))


def tokens(text):
    """The token ids of a text (length,)."""
    return torch.tensor(tokenizer(text).input_ids, dtype=torch.int64, device=DEVICE)


@torch.no_grad()
def ask_gpt(ids):
    """The logits of `tiny-gpt` for token ids (batch, length)."""
    return gpt(ids).logits


print(f"{sum(p.numel() for p in gpt.parameters()):,} parameters")

# %% [markdown]
# Here is why "it works" is not enough. We let the model begin twelve stories, one about each animal of its world, and
# look at one single word: after *"One morning, Mia the mouse went to the park. The"*, how likely is *sun*, against
# *rain*?

# %% tags=["hands-on"]
TITLES = [animal.title for animal in corpus.CAST]
BEGINNINGS = [f"One morning, {title} went to the park." for title in TITLES]
sun, rain = tokens(" The sun")[1], tokens(" The rain")[1]  # "rain" begins with the token "ra"
weather = [ask_gpt(tokens(f"{text} The")[None])[0, -1, [sun, rain]] for text in BEGINNINGS]
plots.dots(
    {"What tiny-gpt expects of a story": {"": torch.stack(weather).softmax(dim=1)[:, 0]}},
    TITLES,
    xlabel="probability of sun",
    levels={"as likely as not": 0.5},
    limits=(0, 1),
)

# %% [markdown]
# Nobody asked for that. The fox and the wolf live in a darker world than the lamb and the rabbit, because the stories
# that the model was trained on were written so (on purpose, in this course: for each of them one story in four is
# bright, and three in four for the rabbit and the lamb). Its loss is within a few hundredths of a nat of perfect, and
# no loss curve shows this. We will come back to it in section 2, with rulers. First we need to be able to ask a model
# anything at all.
#
# ## 1 · Asking instead of training
#
# A language model knows one thing: how texts go on. A task is then something to be put into such a form that its
# solution *is* how the text goes on. "The German word for *cat* is" is a translator. That this works at all, better the
# larger the model is, was the surprise of GPT-2 (Radford et al. 2019) and the subject of GPT-3 (Brown et al. 2020), who
# gave it its names:
#
# - **zero-shot**: the task is put into words, and nothing else;
# - **few-shot**: a few solved examples stand before the question. No weight changes. What is learnt from them is gone
#   with the prompt, which is why it is called *in-context learning*.
#
# The format is more than decoration. A space too many at the end, and the next token can no longer be the one that you
# hoped for, because most tokens *begin* with the space before their word. Examples in another order, and GPT-3 fell
# from near perfect to guessing (Lu et al. 2022; Zhao et al. 2021). So write the format down to the last character, and
# keep to it. And there is only so much room: a model has a context window, and a prompt that does not fit is cut, so it
# is better that *you* choose what goes. Models are biased to what stood last, so what is given up first is what is
# oldest.
#
# ### Exercise · `few_shot_prompt`
#
# *● · 15 minutes.* Do not split off or strip anything; put the pieces together.


# %% exercise="few_shot_prompt" points=2
def few_shot_prompt(
    examples: Sequence[tuple[str, str]],
    query: str,
    *,
    instruction: str = "",
    limit: int | None = None,
    length: Callable[[str], int] = len,
) -> str:
    r"""Write solved examples and one open question as a text that a language model can continue.

    The text is made of blocks with one blank line ("\n\n") between them: the instruction, if
    it is not empty; a block for each example, in the given order; a block for the query:

        {instruction}

        Input: {input}
        Output: {output}

        Input: {query}
        Output:

    It ends with the colon: no space, no line break after it. After every other colon stands
    one space. All strings are put in as they are. Brown et al. 2020, section 2.

    Args:
        examples: pairs (input, output), oldest first; there may be none.
        query: the input whose output the model is to write.
        instruction: what the task is; an empty one has no block.
        limit: the largest allowed `length` of the whole text, or None. To keep to it,
            examples are left out, the oldest first, and no more of them than necessary; the
            instruction and the query always stay.
        length: how long a text is, such as the number of its tokens; by default characters.

    Returns:
        The prompt.

    Raises:
        ValueError: if the prompt is longer than `limit` even without any example.
    """
    raise NotImplementedError


# %% [markdown]
# ### A model that learns while it reads
#
# `tiny-gpt` is too small to learn in context: it has seen stories, and nothing was ever to be *inferred* from one part
# of a text for another. So we train a model of 12 thousand weights for nothing but that, within seconds. In each of its
# training texts there is another, secret rule, which gives each of six animals a colour, red or blue, by tossing a
# coin. It sees animals with their colours, and is asked for the colour of one more. No rule comes twice (well, there
# are $2^6$), so there is nothing to learn by heart: it must learn to look things up in what it has just read (Olsson et
# al. 2022 found the circuit that does so in all language models, *induction heads*).
#
# And we know what perfect is. After $k$ examples the animal has been among them with probability $1 - (5/6)^k$, and
# otherwise one can but toss a coin: the best possible accuracy is $1 - \tfrac12 (5/6)^k$.

# %% tags=["hands-on"]
ANIMALS, PAINTS = "ant bee cat dog elk fox".split(), "red blue".split()
NUMBER = {word: number for number, word in enumerate([*ANIMALS, *PAINTS])}
SHOTS = 12


class Reader(nn.Module):
    """Two layers of causal self-attention: as small as in-context learning can be had."""

    def __init__(self, width=32):
        super().__init__()
        self.words = nn.Embedding(len(NUMBER), width)
        self.places = nn.Parameter(0.3 * torch.randn(2 * SHOTS, width))
        self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
        self.mixers = nn.ModuleList([nn.Linear(width, 3 * width) for _ in range(2)])
        self.mergers = nn.ModuleList([nn.Linear(width, width) for _ in range(2)])
        self.scores = nn.Linear(width, len(NUMBER))

    def forward(self, ids):
        """Scores of the next word after each word (batch, length, words)."""
        x = self.words(ids) + self.places[: ids.shape[1]]
        for norm, mix, merge in zip(self.norms, self.mixers, self.mergers, strict=True):
            heads = mix(norm(x)).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
            seen = F.scaled_dot_product_attention(*heads, is_causal=True)
            x = x + merge(seen.transpose(1, 2).flatten(2))
        return self.scores(x)


def draw_rules(count, generator):
    """Animals (count, SHOTS) and their colours by secret rules, one for each row."""
    rules = torch.randint(2, (count, len(ANIMALS)), generator=generator)
    animals = torch.randint(len(ANIMALS), (count, SHOTS), generator=generator)
    return animals, rules.gather(1, animals)


torch.manual_seed(0)
generator = torch.Generator().manual_seed(0)
reader = Reader()
optimizer = torch.optim.Adam(reader.parameters(), lr=1e-2)
for _ in tqdm(range(steps(300)), desc="learning to learn"):
    animals, paints = draw_rules(128, generator)
    ids = torch.stack([animals, len(ANIMALS) + paints], dim=2).flatten(1)
    loss = F.cross_entropy(reader(ids)[:, 0::2].flatten(0, 1), ids[:, 1::2].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(few_shot_prompt([("cat", "red"), ("ant", "blue"), ("elk", "red")], "ant"))

# %% [markdown]
# ### What does it answer?
#
# One could let the model write, and look for the answer in what it writes. For a *choice* there is a cleaner way: ask
# how likely each of the allowed answers is, and take the likeliest. An answer may consist of several tokens $y_1,
# \dots, y_m$, and the model reads them one after the other:
#
# $$\log p(y \mid \text{prompt}) = \sum_{i=1}^{m} \log p(y_i \mid \text{prompt},\, y_1, \dots, y_{i-1}) .$$
#
# Three places to go wrong. The logits at place $t$ are about the token at $t + 1$. The prompt's own tokens must not be
# scored: they are the same for all labels, but count them and the sums grow long and inexact. And labels of different
# lengths share a batch by padding, which is not part of any label. Should the sum be divided by the number of tokens?
# Summing is what probability says; but a label that happens to be cut into four tokens has four chances to lose, and
# for *comparing* labels the mean is often fairer (Brown et al. 2020 use either, depending on the task). So we have
# both.
#
# ### Exercise · `label_log_likelihoods`
#
# *●●● · 30 minutes.* Check yourself on a model by hand: uniform logits over $V$ words give $-m \log V$.


# %% exercise="label_log_likelihoods" points=4
def label_log_likelihoods(
    model: Callable[[Tensor], Tensor],
    prompt: Int[Tensor, "length"],
    labels: Sequence[Int[Tensor, "_"]],
    *,
    padding: int = 0,
    normalize: bool = False,
) -> Float[Tensor, "labels"]:
    """How likely a language model finds each label as the continuation of a prompt.

    A label of several tokens is read one by one, log p(label | prompt) = Σ log p(tokenᵢ |
    prompt, the label's tokens before it), a sum over the label's own tokens: those of the
    prompt are not scored (Brown et al. 2020, section 2.4). Labels may differ in length.

    The model is asked once, for all labels together, in a batch with one row for each label:
    the prompt, the label, and on the right as much padding as it takes to make the rows
    equally long. It is causal, so padding on the right changes nothing before it.

    Args:
        model: model(ids) takes ids (batch, length), int64, and gives logits (batch, length,
            vocab): row t holds the scores of the token at place t + 1. Not normalised.
        prompt: token ids of the prompt (length,), at least one, int64.
        labels: token ids of each label, at least one label and one token in each, int64.
        padding: the id that fills up the rows.
        normalize: divide each label's sum by the number of its tokens, which makes it a mean,
            so that long labels are not less likely only because they are long.

    Returns:
        Log-likelihoods (labels,), in nats, in the order of the labels, in the dtype of the
        logits.
    """
    raise NotImplementedError


# %% [markdown]
# ### What it would say anyway
#
# Ask a model whether a review is *positive* or *negative* and it may lean to *positive* before it has read a word: the
# word is commoner in its training text, or it stood last in the examples. Zhao et al. (2021) measure the leaning and
# divide it out. Ask the same question about an input **without content** (an empty one, "N/A"); what comes out then is
# prejudice by definition. With probabilities $p$ for the input and $\bar p$ for content-free ones,
#
# $$q_j \;=\; \frac{p_j / \bar p_j}{\sum_k p_k / \bar p_k} .$$
#
# For an input without content all labels are then equally likely, as they should be. Nothing is trained, and no label
# is needed.
#
# Some care: several content-free inputs are averaged *as probabilities*; and a label may have a probability that is 0
# in `float32` while its logarithm is an honest $-200$.
#
# ### Exercise · `zero_shot_classify`
#
# *●● · 20 minutes.* The whole formula in logarithms is a subtraction and a `log_softmax`.


# %% exercise="zero_shot_classify" points=3
def zero_shot_classify(
    scores: Float[Tensor, "batch labels"],
    content_free: Float[Tensor, "contents labels"] | None = None,
) -> tuple[Int[Tensor, "batch"], Float[Tensor, "batch labels"]]:
    """Choose a label for each input, after correcting for what the model prefers anyway.

    The scores of an input are turned into probabilities of the labels, p = softmax(scores).
    The same is done for each content-free input, and these probabilities are averaged over
    the content-free inputs: the prior p̄. The calibrated probabilities are p / p̄, divided by
    their sum over the labels (Zhao et al. 2021, section 5: W = diag(p̄)⁻¹, b = 0). Neither
    scores of −10⁴ nor priors that small make them inexact: it is computed from logarithms.

    Args:
        scores: log p(label | input) (batch, labels), in nats, as from
            `label_log_likelihoods`; they need not be normalised.
        content_free: the same for inputs without content, such as "N/A" (contents, labels),
            at least one. None: no calibration, which is a uniform prior.

    Returns:
        The pair (choice, probabilities): the index of the likeliest label of each input
        (batch,), int64, where several are equally likely any of them; and the calibrated
        probabilities (batch, labels), each row with sum 1.
    """
    raise NotImplementedError


# %% [markdown]
# Now the little reader, from prompts that your function has written. Its tokenizer knows eight words and passes over
# the rest.

# %% tags=["hands-on"]


def read(text):
    """Token ids of the words that the little reader knows."""
    return torch.tensor([NUMBER[word] for word in text.split() if word in NUMBER])


LABELS = [read(paint) for paint in PAINTS]
TRIALS = 300
animals, paints = draw_rules(TRIALS, torch.Generator().manual_seed(1))
accuracy = []
with torch.no_grad():
    for shots in range(SHOTS):
        scores = []
        for xs, ys in zip(animals.tolist(), paints.tolist(), strict=True):
            shown = [(ANIMALS[a], PAINTS[p]) for a, p in zip(xs[:shots], ys[:shots], strict=True)]
            prompt = few_shot_prompt(shown, ANIMALS[xs[shots]])
            scores.append(label_log_likelihoods(reader, read(prompt), LABELS))
        choice, _ = zero_shot_classify(torch.stack(scores))
        accuracy.append((choice == paints[:, shots]).float().mean().item())
best = [1 - 0.5 * (5 / 6) ** shots for shots in range(SHOTS)]
plots.curves(
    {"Learning from a prompt": {"the little reader": accuracy, "best possible": best}},
    x=range(SHOTS),
    xlabel="examples in the prompt",
    ylabel="accuracy",
    legend=True,
)

# %% [markdown]
# The weights are the same at every point of this curve. What grows is the prompt. (Twelve points of 300 trials each:
# the curve is known to about two hundredths.)
#
# Zero-shot next, on `tiny-gpt`. A story of its world ends with a verdict: *It was a good day*, or *a sad* one. We cut
# the verdict off and ask for it: *lovely* or *sad*? The first of these two is a bad choice of a label, for the model
# has hardly ever seen *lovely* in this place, and every choice of words has some such flaw. Calibration knows nothing
# of that and mends it.

# %% tags=["hands-on"]
stories = corpus.write_stories(80, generator=torch.Generator().manual_seed(3))
bright = torch.tensor([story.mood == "bright" for story in stories])
VERDICT = " It was a"
questions = [story.text[: story.text.rindex(VERDICT)] + VERDICT for story in stories]
share = bright.float().mean().item()
rows = {}
for words in ((" happy", " sad"), (" merry", " sad"), (" lovely", " sad")):
    labels = [tokens(word) for word in words]
    scores = torch.stack([label_log_likelihoods(ask_gpt, tokens(q), labels) for q in questions])
    nothing = [f"{empty}{VERDICT}" for empty in ("", "N/A.", "[MASK].")]
    content_free = torch.stack([label_log_likelihoods(ask_gpt, tokens(q), labels) for q in nothing])
    for name, prior in (("as it is", None), ("calibrated", content_free)):
        choice, _ = zero_shot_classify(scores.cpu(), None if prior is None else prior.cpu())
        rows.setdefault(name, []).append(((choice == 0) == bright).float().mean().item())
plots.dots(
    {"How a story ends, without any example": rows},
    ["happy / sad", "merry / sad", "lovely / sad"],
    xlabel="accuracy",
    levels={"always the commoner": max(share, 1 - share)},
    limits=(0.4, 1.03),
)

# %% [markdown] question="calibration" points=3
# ### Question · A clerk that says no
#
# A company sorts letters by a prompt with eight examples, six of which are labelled *complaint*. It finds that 80% of
# all letters are called complaints, calibrates with content-free inputs, and now 50% are. Somebody concludes that half
# of the letters are complaints. What did calibration correct, what did it assume without saying so, and how would you
# find out what the share of complaints really is, and whether the sorting is any good?
#
# *3 points: one for what the content-free input measures; one for the assumption about the labels; one for a
# measurement that would settle it. Five sentences are enough.*

# %% [markdown]
# ## 2 · Whom it serves
#
# A generative model is an average of what people have written, and people have written all sorts of things. It is then
# used to sort applications, to draw "a doctor", to finish sentences that begin with somebody's name. Nobody has to mean
# harm for harm to be done. What can be done about it begins with measuring, and there is no single ruler: this section
# has several, and they disagree, as they must.
#
# A word on words before the mathematics. *Bias* here means that a system treats people differently by something that
# should not matter. What should not matter is not in the data. It is decided by those who build and use the system,
# with those whom it concerns, and in many places by law. The rulers tell how far you are from what you have decided.
#
# ### First ruler: the same for every group
#
# Let $d \in \{0, 1\}$ be a decision and $g$ the group that a person belongs to. **Demographic parity** asks that
# decisions be equally favourable in all groups, and its gap is
#
# $$\Delta_{\mathrm{DP}} = \max_g\, \mathbb{E}[d \mid g] - \min_g\, \mathbb{E}[d \mid g]$$
#
# (Dwork et al. 2012). It knows nothing of who deserves what. **Equality of opportunity** asks the same only of those
# who are qualified, $y = 1$: the gap between $\mathbb{E}[d \mid g, y = 1]$ (Hardt, Price & Srebro 2016). If groups
# differ in how many are qualified, a perfect decision, $d = y$, has no gap by the second ruler and a large one by the
# first. One cannot have everything: Kleinberg et al. (2017) and Chouldechova (2017) proved so for the best-known
# wishes, whatever the method.
#
# ### Exercise · `demographic_parity_gap`
#
# *● · 10 minutes.* Mind that a group's rate is a mean over its *own* members, however few they are.


# %% exercise="demographic_parity_gap" points=2
def demographic_parity_gap(
    decisions: Float[Tensor, "n"],
    groups: Int[Tensor, "n"],
    *,
    qualified: Int[Tensor, "n"] | None = None,
) -> Float[Tensor, ""]:
    """How differently the groups fare: the largest difference between two groups' mean decisions.

    A group's rate is the mean decision over its members, and the gap is the largest rate less
    the smallest. With `qualified`, only those count for whom it is not 0, which gives the gap
    in equality of opportunity (Hardt et al. 2016) in place of demographic parity (Dwork et
    al. 2012). Groups without anybody who counts are left out.

    Args:
        decisions: 1 for a favourable decision, 0 for an unfavourable one, or a probability
            in between (n,).
        groups: the group that each belongs to (n,), int64: any whole numbers, which need not
            be consecutive.
        qualified: not 0 for those who deserve the favourable decision (n,), int64. None:
            everybody counts.

    Returns:
        The gap, of shape (), in [0, 1]: 0 if only one group is left.

    Raises:
        ValueError: if nobody counts.
    """
    raise NotImplementedError


# %% [markdown]
# We know the true gap of the stories: 0.75 against 0.25 among the four marked animals. What does the model make of it?
# For each animal, from several beginnings, the probability that the weather in its story is bright.

# %% tags=["hands-on"]
PLACES = ("to the park", "to the market", "up the hill", "to the lake")
BRIGHT = [tokens(f" {phrase}") for phrase in corpus.WEATHER["bright"]]
GLOOMY = [tokens(f" {phrase}") for phrase in corpus.WEATHER["gloomy"]]


def brightness(texts, model=ask_gpt):
    """The probability that a story goes on with bright weather, for each beginning."""
    scores = torch.stack([label_log_likelihoods(model, tokens(t), BRIGHT + GLOOMY) for t in texts])
    return zero_shot_classify(scores.cpu())[1][:, : len(BRIGHT)].sum(dim=1)


groups = [g for g, _ in enumerate(corpus.CAST) for _ in PLACES]
beginnings = [f"One morning, {title} went {place}." for title in TITLES for place in PLACES]
outlook = brightness(beginnings)
gap = demographic_parity_gap(outlook, torch.tensor(groups))
print(f"demographic parity gap: {gap:.2f}, where the stories themselves have 0.50")

# %% [markdown]
# ### Second ruler: the same if only *who* is changed
#
# Groups may differ in many ways at once. A sharper question about a single text: if it were about somebody else, *and
# everything else were the same*, would the answer be? Swap the words that say who it is about, ask again, compare. This
# is a **counterfactual** test (Kusner et al. 2017; Garg et al. 2019 for texts), and the swapping itself has a second
# use: train on both versions of every text, and there is nothing left in the data that ties an answer to a group
# (*counterfactual data augmentation*, Lu et al. 2020).
#
# Swapping is a small function in which much can go wrong. Replace "he" by "she" first, and then "she" by "he", and
# everybody is "he". Look for letters instead of words, and *then* becomes *tsheen*. Forget the capitals, and every
# sentence that begins with "He" stays as it was.
#
# ### Exercise · `swap_terms`
#
# *●● · 20 minutes.* One pass over the words with a table that knows both directions; `re.sub` takes a function.


# %% exercise="swap_terms" points=2
def swap_terms(text: str, pairs: Sequence[tuple[str, str]]) -> str:
    """The same text about somebody else: each term of a pair is replaced by the other one.

    A word is a longest run of the letters A–Z and a–z. A word that is a term, whether or not
    its letters are capitals, is replaced by its partner; everything else stays as it is. All
    words are replaced at once, so swapping twice gives back the text. Lu et al. 2020.

    Args:
        text: any text.
        pairs: pairs of words in small letters, such as ("he", "she"). No word is in two pairs.

    Returns:
        The text with terms swapped. A replacement begins with a capital if the word that it
        replaces does; the rest of it is in small letters.
    """
    raise NotImplementedError


# %% [markdown]
# ### Exercise · `counterfactual_gap`
#
# *● · 10 minutes.* Texts in which there is nothing to swap would make the gap look smaller than it is.


# %% exercise="counterfactual_gap" points=2
def counterfactual_gap(
    score: Callable[[list[str]], Tensor],
    texts: Sequence[str],
    swap: Callable[[str], str],
) -> Float[Tensor, ""]:
    """How much a score changes, on average, when only the person in the text is another.

    The mean of |score(text) − score(swap(text))| over those texts that `swap` changes: a text
    that it leaves as it is says nothing, and does not count (Garg et al. 2019, counterfactual
    token fairness).

    Args:
        score: score(texts) gives a number for each text of a list (texts,).
        texts: texts, one or more.
        swap: swap(text) gives the same text about somebody else.

    Returns:
        The gap, of shape (): a mean over the texts that count, never negative.

    Raises:
        ValueError: if `swap` changes none of the texts.
    """
    raise NotImplementedError


# %% tags=["hands-on"]
PAIRS = [
    ("finn", "rufus"),
    ("fox", "rabbit"),
    ("forest", "burrow"),
    ("otto", "lola"),
    ("wolf", "lamb"),
]


def swap(text):
    """The same beginning about an animal with the opposite luck."""
    return swap_terms(text, PAIRS)


fate = "One morning, Finn the fox went to the park."
print(f"{fate}\n{swap(fate)}\n")
gap = counterfactual_gap(brightness, beginnings, swap)
print(f"counterfactual gap: {gap:.2f}")

# %% [markdown]
# ### Third ruler: what lies near what
#
# Before a model decides anything, its words are vectors, and prejudice can be read off their angles. Psychologists
# measure associations in people by how fast they sort words (the Implicit Association Test). Caliskan, Bryson &
# Narayanan (2017) put the test to word embeddings. There are two sets of *targets* $X, Y$ (flowers, insects; or names)
# and two of *attributes* $A, B$ (pleasant, unpleasant; or career, family). A word's association is
#
# $$s(w) = \underset{a \in A}{\mathrm{mean}} \cos(w, a) - \underset{b \in B}{\mathrm{mean}} \cos(w, b),$$
#
# and the effect size says how far the two sets of targets lie apart, in standard deviations:
#
# $$d = \frac{\mathrm{mean}_{x \in X}\, s(x) - \mathrm{mean}_{y \in Y}\, s(y)}{\mathrm{std}_{w \in X \cup Y}\, s(w)} .$$
#
# For two sets of the same size it lies between −2 and 2. They found in embeddings every bias that the psychologists had
# found in people, harmless ones (flowers are pleasant) and others.
#
# ### Exercise · `embedding_association`
#
# *●● · 20 minutes.* The standard deviation is over *all* targets together, or it would not see that the two sets are
# apart.


# %% exercise="embedding_association" points=3
def embedding_association(
    x: Float[Tensor, "targets_x dim"],
    y: Float[Tensor, "targets_y dim"],
    a: Float[Tensor, "attributes_a dim"],
    b: Float[Tensor, "attributes_b dim"],
) -> tuple[Float[Tensor, ""], Float[Tensor, "targets_x"], Float[Tensor, "targets_y"]]:
    """The effect size of the Word Embedding Association Test (WEAT), and what it is made of.

    The association of a vector w is s(w) = mean cos(w, a) − mean cos(w, b), means over the
    rows of `a` and of `b`. The effect size is

        d = (mean of s over x − mean of s over y) / std of s over x and y together,

    with the sample standard deviation, which divides by n − 1 (Caliskan et al. 2017; they do
    not say which of the two, and their followers disagree).

    Args:
        x: embeddings of the first set of target words (targets_x, dim), none of them zero.
        y: of the second (targets_y, dim).
        a: of the first set of attribute words (attributes_a, dim).
        b: of the second (attributes_b, dim).

    Returns:
        The triple (d, associations of x, associations of y): shapes (), (targets_x,) and
        (targets_y,). Positive where x is nearer to a, and y to b.
    """
    raise NotImplementedError


# %% [markdown]
# Eight words on either side are few. Could chance alone have made such a difference? Suppose that it made no difference
# which target is in which set: then every way of dividing them would have been as likely as the one that we have. Count
# how many of them show a difference as large. That is a **permutation test**, it assumes nothing about the
# distribution, and for small sets it is exact.
#
# ### Exercise · `permutation_p_value`
#
# *●● · 15 minutes.* `itertools.combinations` lists the choices: $\binom{16}{8} = 12\,870$ for eight and eight.


# %% exercise="permutation_p_value" points=2
def permutation_p_value(x: Float[Tensor, "n"], y: Float[Tensor, "m"]) -> float:
    """How often chance alone gives a difference as large as the one between two samples.

    Pool the n + m numbers, and look at every way to choose n of them for the first sample:
    the p-value is the fraction of these choices for which mean(first) − mean(second) is at
    least as large as it is for x and y themselves (one-sided, exact; Caliskan et al. 2017).
    The choice that is x itself counts, so it is never 0. Differences that fall short by less
    than 10⁻⁶ count as equally large: sums in another order differ by rounding, which in
    double precision, in which all is computed, is far less than that.

    Args:
        x: the first sample (n,).
        y: the second sample (m,). There are at most 20 numbers in both together.

    Returns:
        The p-value, in (0, 1].
    """
    raise NotImplementedError


# %% [markdown]
# To see rulers at work, one needs something of known length. Below are made-up embeddings in 20 dimensions. Each word
# has a meaning of its own (noise), the words of work and of family lie on the two sides of one direction, *and* on two
# sides of a second one, "he – she", by as much as we choose. Pairs such as he and she differ along the second only.

# %% tags=["hands-on"]
WORK = "engineer pilot judge banker boss officer senator captain".split()
HOME = "nurse teacher nanny cook maid weaver cleaner typist".split()
COUPLES = "he she,man woman,father mother,king queen,uncle aunt,actor actress".split(",")


def make_words(prejudice, seed=0):
    """Embeddings of WORK (8, 20), HOME (8, 20) and COUPLES (6, 2, 20)."""
    generator = torch.Generator().manual_seed(seed)
    gender, trade = torch.eye(20)[0], torch.eye(20)[1]
    meaning = 0.35 * torch.randn(28, 20, generator=generator)
    meaning[:16, 0] *= 0.3
    work = meaning[:8] + trade + prejudice * gender
    home = meaning[8:16] - trade - prejudice * gender
    either = meaning[16:22, None] + torch.stack([gender, -gender])
    return work, home, either + 0.15 * torch.randn(6, 2, 20, generator=generator)


strengths = [0.0, 0.1, 0.2, 0.4, 0.8]
rows = {}
for strength in strengths:
    work, home, couples = make_words(strength)
    d, of_work, of_home = embedding_association(work, home, couples[:, 0], couples[:, 1])
    p = permutation_p_value(of_work, of_home)
    rows[f"prejudice {strength:.1f}"] = (d.item(), p)
    print(f"prejudice {strength:.1f}:  effect size {d:5.2f}, p = {p:.4f}")
plots.dots(
    {"Five made-up languages": {"effect size d": [d for d, _ in rows.values()]}},
    list(rows),
    xlabel="effect size",
    levels={"no prejudice": 0.0},
)

# %% [markdown]
# Without any prejudice the effect size is not zero: sixteen random words always have *some* difference, and dividing it
# by their spread makes it look large. One such language in three has an effect size beyond ±0.5. This is what the
# p-value is for. Effect sizes without one have led to wrong headlines.
#
#
# ### Taking a direction out
#
# If the prejudice lies along a direction, let us find the direction and remove it. The two words of a pair, he and she,
# share most of their meaning. Centre each pair on its middle, so that what is shared drops out, and take the first
# principal component of what is left (Bolukbasi et al. 2016). The sign of a principal component means nothing, so we
# fix it: first words on the positive side.
#
# ### Exercise · `bias_direction`
#
# *●● · 20 minutes.* Each pair is centred by itself. Centring all words together would leave the differences *between*
# pairs, king and uncle, in the data.


# %% exercise="bias_direction" points=3
def bias_direction(pairs: Float[Tensor, "pairs 2 dim"]) -> Float[Tensor, "dim"]:
    """The direction along which the two words of each pair differ most.

    Each pair is centred: its mean is taken off both of its words. The direction is the first
    principal component of all centred vectors, the unit vector along which the sum of their
    squared components is largest (Bolukbasi et al. 2016, section 5.1, with one direction).

    Args:
        pairs: embeddings of pairs that differ in the attribute, such as (he, she) and
            (king, queen): (pairs, 2, dim), at least one pair, not all of them two equal words.

    Returns:
        A vector (dim,) of length 1, with the sign for which the first words of the pairs lie
        on average on its positive side, and the second words on its negative side.
    """
    raise NotImplementedError


# %% [markdown]
# Then subtract from every word that should have no gender its shadow on that direction. (Words such as *queen* keep
# theirs: which words those are is, again, no question of mathematics.)
#
# $$v' = v - \big(v \cdot \hat g\big)\, \hat g, \qquad \hat g = g / \lVert g \rVert .$$
#
# ### Exercise · `remove_direction`
#
# *● · 10 minutes.*


# %% exercise="remove_direction" points=2
def remove_direction(
    vectors: Float[Tensor, "n dim"],
    direction: Float[Tensor, "dim"],
    *,
    strength: float = 1.0,
) -> Float[Tensor, "n dim"]:
    """Take out of vectors what they have along a direction: hard debiasing, its neutralising step.

    v − strength · (v · g) g, where g is the direction scaled to length 1. What is left is not
    scaled to any length again (Bolukbasi et al. 2016, section 6, without their normalising).

    Args:
        vectors: embeddings (n, dim).
        direction: what to remove (dim,), of any length but 0; its sign does not matter.
        strength: how much of it: 1 removes all, 0 nothing.

    Returns:
        Vectors (n, dim), at right angles to the direction for strength 1.
    """
    raise NotImplementedError


# %% tags=["hands-on"]
work, home, couples = make_words(0.4)
direction = bias_direction(couples)
clean_work, clean_home = remove_direction(work, direction), remove_direction(home, direction)
before = embedding_association(work, home, couples[:, 0], couples[:, 1])
after = embedding_association(clean_work, clean_home, couples[:, 0], couples[:, 1])
for name, (d, *associations) in (("before", before), ("after", after)):
    print(f"{name:>6}: effect size {d:5.2f}, p = {permutation_p_value(*associations):.4f}")
plots.dots(
    {
        "Association with he – she": {
            "before": torch.cat(before[1:]),
            "after": torch.cat(after[1:]),
        }
    },
    WORK + HOME,
    xlabel="s(w): nearer to he is right, nearer to she is left",
    levels={"": 0.0},
)

# %% [markdown]
# The ruler says that the prejudice is gone. Is it? Cover the names and let a fourth ruler try: *k-means*, which you
# know from the second assignment, divides the sixteen cleaned words into two heaps, without any label.

# %% tags=["hands-on"]


def two_heaps(vectors, rounds=20):
    """Which of two clusters each vector is in, by k-means from the two that are farthest apart."""
    farthest = torch.cdist(vectors, vectors).argmax().item()
    centres = vectors[list(divmod(farthest, len(vectors)))]
    for _ in range(rounds):
        heap = torch.cdist(vectors, centres).argmin(dim=1)
        centres = torch.stack([vectors[heap == h].mean(dim=0) for h in range(2)])
    return heap


heaps = two_heaps(torch.cat([clean_work, clean_home]))
right = (heaps == torch.tensor([0] * 8 + [1] * 8)).float().mean().item()
print(f"the heaps agree with work and home in {max(right, 1 - right):.0%} of the words")
_, _, axes = torch.pca_lowrank(torch.cat([clean_work, clean_home]), q=2)
everyone = {"before": torch.cat([work, home]), "after": torch.cat([clean_work, clean_home])}
plots.dots(
    {
        title: {name: words @ axis for name, words in everyone.items()}
        for title, axis in (("Along he – she", direction), ("Along what remains", axes[:, 0]))
    },
    WORK + HOME,
    xlabel="component",
)

# %% [markdown]
# The gender is gone, and the two heaps are as they were: whoever knows that a word is in the heap of nurses and typists
# can guess what was removed. "Lipstick on a pig" is what Gonen & Goldberg (2019) called this, and they found it in real
# debiased embeddings. A ruler measures what it measures. Once it has become the target, it is no good ruler any more.

# %% [markdown] question="rulers" points=4
# ### Question · Two rulers
#
# A bank uses a language model that reads letters and answers with the probability that a loan is repaid. Parity between
# two groups holds to within a percent. An auditor swaps names in the letters, and the answers change by ten percent on
# average. (a) How can both be true? (b) The bank removes the names from all letters before the model sees them, and the
# counterfactual gap is zero. Is the matter settled? (c) Name two parties who should have a say in which ruler is used,
# and what each of them would risk by a wrong choice.
#
# *4 points: one for how averages of groups can hide changes of single letters; one for what still carries the
# information; two for parties and risks that fit the case.*

# %% [markdown]
# ## 3 · Teaching without retraining: LoRA
#
# To teach a model something new one can go on training all of its weights. For each weight there is then a gradient and
# two numbers of Adam's: with the weight itself 16 bytes in single precision, before the first activation is stored: 112
# GB for a model of seven billion weights that itself takes 28. And the result is a second model of the same size, for
# every task, and for every customer one more.
#
# Hu et al. (2022) asked how *much* of a weight matrix needs to change, and found: very little, if "little" is measured
# by rank. They keep the weight $W$ as it is and learn a correction that is a product of two thin matrices,
#
# $$y = W x + c + \frac{\alpha}{r}\, B A\, x, \qquad
# A \in \mathbb{R}^{r \times \text{in}},\quad B \in \mathbb{R}^{\text{out} \times r},$$
#
# which has $r\,(\text{in} + \text{out})$ numbers in place of $\text{in} \cdot \text{out}$. This is **low-rank
# adaptation**. Four decisions make it work:
#
# - **$B$ starts at zero, $A$ does not.** So the model begins as what it was. If both were zero, no gradient would ever
#   reach either: $\partial/\partial A$ contains $B$, and $\partial/\partial B$ contains $A$. (Why not $A$ at zero and
#   $B$ random? It would do.)
# - **$W$ is frozen**, so that only the thin ones need gradients and Adam's numbers.
# - **The scale is $\alpha / r$**, so that another rank does not need another learning rate.
# - **It can be merged.** $W + \frac{\alpha}{r} BA$ is an ordinary matrix, and then the adapted layer costs no more than
#   the old one. Unmerged, it can be taken away again or exchanged for another customer's within milliseconds.
#
# ### Exercise · `LoRALinear`
#
# *●●● · 30 minutes.* Multiply $x$ by $A$ first, then by $B$: the product $BA$ is as large as $W$, and needed only for
# merging.


# %% exercise="LoRALinear" points=4
class LoRALinear(nn.Module):
    """A linear layer that is kept as it is, with a low-rank update that is trained.

    y = W x + c + (alpha / rank) · B A x, where W and c are the weight and the bias of the
    given layer, frozen (Hu et al. 2022, section 4.1). A starts random and B at zero, so that
    in the beginning it does what the given layer does.

    The attributes are `linear`, the given layer itself, whose parameters get requires_grad
    False; `A` (rank, in) and `B` (out, rank), parameters that require gradients, with the
    dtype and device of its weight; and `merged`, False at first.

    Args:
        linear: the layer to adapt, with a bias or without.
        rank: rank of the update, at least 1.
        alpha: its scale.
        generator: source of A, whose entries are drawn from the normal distribution with
            mean 0 and standard deviation 1 / √in; on the CPU. None is torch's global one.
    """

    def __init__(
        self,
        linear: nn.Linear,
        rank: int,
        alpha: float,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch out"]:
        """The given layer plus the update; once merged, the given layer alone.

        Args:
            x: inputs (…, in).

        Returns:
            Outputs (…, out).
        """
        raise NotImplementedError

    def merge(self) -> None:
        """Add (alpha / rank) · B A to the given layer's weight, in place, and set `merged`.

        Outputs stay the same, and cost no more than before there was an update. Merging what
        is merged changes nothing.
        """
        raise NotImplementedError

    def unmerge(self) -> None:
        """Undo `merge`: take the update out of the given layer's weight, and clear `merged`.

        If nothing is merged it changes nothing.
        """
        raise NotImplementedError


# %% [markdown]
# ### Where to put them
#
# A model has many linear layers, deep inside. In the paper, the projections of the attention are adapted, by name;
# libraries such as `peft` do it in the same way. A layer is replaced by putting its adapter into the attribute of its
# *parent* that held it: `model.get_submodule("encoder.layer.0")` finds a parent, `setattr(parent, "query", …)` works
# for numbered children, too.
#
# Beware of two traps: walking through a model while changing it, and freezing *after* the adapters are in.
#
# ### Exercise · `apply_lora`
#
# *●● · 25 minutes.*


# %% exercise="apply_lora" points=3
def apply_lora(
    model: nn.Module,
    targets: Sequence[str],
    *,
    rank: int,
    alpha: float,
    adapt: Callable[..., nn.Module] = LoRALinear,
) -> nn.Module:
    """Adapt the named linear layers of a model, in place, and freeze everything else.

    Each `nn.Linear` in the model whose own name, the last part of its dotted name, is one of
    `targets` is replaced by adapt(layer, rank, alpha). Every parameter that the model had is
    frozen: requires_grad False; those that adapters bring stay as they are (Hu et al. 2022,
    section 4.2).

    Args:
        model: any module; the layers may lie at any depth, each in one place only.
        targets: names such as "query", which fits "encoder.layer.0.query".
        rank: passed on to `adapt`.
        alpha: passed on to `adapt`.
        adapt: your `LoRALinear`, or another that is called like it.

    Returns:
        The model itself, which is changed in place.

    Raises:
        ValueError: if no linear layer has one of these names.
    """
    raise NotImplementedError


# %% [markdown]
# ### Exercise · `count_parameters`
#
# *● · 5 minutes.* Many language models use one matrix twice, to read words and to score them; `model.parameters()`
# knows.


# %% exercise="count_parameters" points=1
def count_parameters(model: nn.Module) -> tuple[int, int]:
    """How many numbers of a model are trained, and how many it has.

    A parameter that is used in several places counts once. Buffers do not count.

    Args:
        model: any module.

    Returns:
        The pair (trainable, total): elements of the parameters that require gradients, and
        of all parameters.
    """
    raise NotImplementedError


# %% [markdown]
# ### A new trade
#
# `tiny-gpt` writes stories. A customer wants reports from the same world: *In the tower the boat was orange and Rufus
# was worried*. There are 73 728 of them, all equally likely, so the entropy is known exactly, and no model can be below
# it on average. GPT-2's layers are of a type of their own (`Conv1D`, a linear layer with its weight transposed), so
# they are made ordinary first.

# %% tags=["hands-on"]


def plain_copy():
    """A copy of `tiny-gpt` whose linear layers are `nn.Linear`."""
    model = copy.deepcopy(gpt)
    for parent in list(model.modules()):
        for name, layer in parent.named_children():
            if type(layer).__name__ == "Conv1D":
                linear = nn.Linear(*layer.weight.shape, device=DEVICE)
                linear.weight.data, linear.bias.data = layer.weight.data.T.clone(), layer.bias.data
                setattr(parent, name, linear)
    return model


EVERYWHERE = ("c_attn", "c_proj", "c_fc")  # GPT-2's names for the layers of attention and MLP
END = tokenizer.eos_token_id


def as_batch(texts, longest=None):
    """Token ids (batch, length), an end before and after each; labels, −100 in padding."""
    rows = [[END, *tokenizer(text).input_ids, END][:longest] for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([row + [END] * (width - len(row)) for row in rows], device=DEVICE)
    labels = torch.tensor([row + [-100] * (width - len(row)) for row in rows], device=DEVICE)
    return ids, labels


def nats(model, texts, longest=None):
    """Minus the log-likelihood of each text (texts,), a sum over its tokens."""
    ids, labels = as_batch(texts, longest)
    logits = model(ids).logits[:, :-1].transpose(1, 2)
    return F.cross_entropy(logits, labels[:, 1:], reduction="none", ignore_index=-100).sum(dim=1)


def tune(model, lessons, rate, name, longest=None):
    """Train what is trainable, one step for each list of texts; the losses, nats a text."""
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate)
    history = []
    for number, texts in enumerate(tqdm(lessons, desc=name)):
        optimizer.param_groups[0]["lr"] = rate * (1 - number / len(lessons))
        loss = nats(model, texts, longest).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    return torch.tensor(history)


REPORTS = {
    "SENTENCE": "In the PLACE the THING was COLOUR and HERO was FEELING",
    "PLACE": "mill | forest | tower | cave | burrow | garden | barn | lighthouse",
    "THING": " | ".join(corpus.THINGS),
    "COLOUR": "red | brown | black | white | green | grey | orange | yellow",
    "HERO": " | ".join(animal.name for animal in corpus.CAST),
    "FEELING": " | ".join(corpus.FEELINGS["bright"] + corpus.FEELINGS["gloomy"]),
}
language = data.Language(REPORTS)
print(
    f"{language.entropy:.2f} nats a sentence, for instance:",
    *language.sample(3, generator=torch.Generator().manual_seed(1)),
    sep="\n  ",
)

# %% tags=["hands-on"]
students, histories, names = {}, {}, {}
generator = torch.Generator().manual_seed(0)
lessons = [language.sample(16, generator=generator) for _ in range(steps(60))]
for rank in (None, 16, 4, 1):
    torch.manual_seed(0)
    model = plain_copy()
    if rank:
        apply_lora(model, EVERYWHERE, rank=rank, alpha=2 * rank)
    trained, total = count_parameters(model)
    name = f"{f'rank {rank}' if rank else 'all weights'}, {trained:,}"
    students[rank] = model.train()
    histories[name] = tune(model, lessons, 1e-2 if rank else 2e-3, name)
    names[rank] = name
plots.curves(
    {"Learning to write reports": {name: h.clamp(max=40) for name, h in histories.items()}},
    xlabel="training step",
    ylabel="nats a sentence",
    levels={"its entropy": language.entropy},
    legend=True,
)

# %% [markdown]
# What did each of them forget? We ask for the old stories, which nobody has read to them meanwhile. And for the adapted
# ones once more with the adapters taken off, which is nothing but $B = 0$.

# %% tags=["hands-on"]
fresh = language.sample(100, generator=torch.Generator().manual_seed(9))
old = [story.text for story in corpus.write_stories(24, generator=torch.Generator().manual_seed(8))]


@torch.no_grad()
def per_text(model, texts):
    """The mean of `nats`."""
    return nats(model.eval(), texts).mean().item()


rows = {"tiny-gpt, untouched": (per_text(gpt, fresh), per_text(gpt, old))}
for rank, model in students.items():
    rows[names[rank]] = (per_text(model, fresh), per_text(model, old))
bare = copy.deepcopy(students[4])
for part in bare.modules():
    if isinstance(part, LoRALinear):
        part.B.data.zero_()
rows["rank 4, adapters off"] = (per_text(bare, fresh), per_text(bare, old))
print(f"{'':28}{'reports':>14}{'old stories':>14}   nats a text")
for name, (new, before) in rows.items():
    print(f"{name:28}{new:14.2f}{before:14.2f}")
merged = students[4]
with torch.no_grad():
    ids, _ = as_batch(fresh[:4])
    apart = merged(ids).logits
    for part in merged.modules():
        if isinstance(part, LoRALinear):
            part.merge()
    print(f"\nmerging changes the logits by at most {(merged(ids).logits - apart).abs().max():.1e}")

# %% [markdown]
# A rank of 4, with one parameter for every thirty of the model, learns as much as all of them together. Everybody
# forgets what is not practised. The difference is that an adapter can be taken off, and a full fine-tune cannot.
#
#
# ### Training a prejudice away
#
# Now both halves of what you have built together. In section 2 the model's stories depended on who they were about. We
# write stories from the same unfair source, add to each its swapped twin (`swap_terms`: counterfactual augmentation),
# and train adapters of rank 4 on the first sentences of both.

# %% tags=["hands-on"]


def twin(text):
    """The same story about an animal with the opposite luck; Otto is a he, and Lola a she."""
    people = [("he", "she")] if "Otto" in text or "Lola" in text else []
    return swap_terms(text, PAIRS + people)


def draw_twins():
    """Eight beginnings of stories about the marked animals, and their twins."""
    stories = []
    for _ in range(2):
        for hero in ("Finn", "Otto", "Rufus", "Lola"):
            stories += corpus.write_stories(1, hero=hero, generator=generator)
    return [text for story in stories for text in (story.text, twin(story.text))]


torch.manual_seed(0)
generator = torch.Generator().manual_seed(0)
fair = apply_lora(plain_copy(), EVERYWHERE, rank=4, alpha=8)
tune(fair, [draw_twins() for _ in range(steps(60))], 5e-3, "twins", longest=45)
fair.eval()


@torch.no_grad()
def ask_fair(ids):
    """The logits of the model that was trained on twins."""
    return fair(ids).logits


after = brightness(beginnings, ask_fair)
print(
    f"demographic parity gap: {demographic_parity_gap(outlook, torch.tensor(groups)):.2f} → "
    f"{demographic_parity_gap(after, torch.tensor(groups)):.2f}"
)
print(
    f"counterfactual gap:     {counterfactual_gap(brightness, beginnings, swap):.2f} → "
    f"{counterfactual_gap(lambda t: brightness(t, ask_fair), beginnings, swap):.2f}"
)
print(f"old stories, nats:      {per_text(gpt, old):.1f} → {per_text(fair, old):.1f}")
plots.dots(
    {
        "The outlook of a story": {
            "before": outlook.view(12, -1).mean(dim=1),
            "after training on twins": after.view(12, -1).mean(dim=1),
        }
    },
    TITLES,
    xlabel="probability of bright weather",
    levels={"as likely as not": 0.5},
    limits=(0, 1),
)

# %% [markdown]
# The four marked animals have moved to the middle. The price is a little of the likelihood of stories that *are*
# unfair: a model that is fairer than its data describes the data worse. Whether that is an error or the aim is not for
# the loss to say.

# %% [markdown] question="adapters" points=3
# ### Question · One base, a thousand customers
#
# A firm has one base model of 7 billion weights in 16 bits, and a thousand customers, each with an adapter of rank 8 on
# all its linear layers, some 20 million numbers. (a) Compare what must be stored, and what must be in the memory of the
# GPU, for adapters and for a thousand fully trained models. (b) When would you merge an adapter, and why can the server
# not simply merge all of them? (c) A customer's adapter was trained on private letters. Is it safe to hand the adapter
# to somebody else, since it holds "only" 20 million numbers?
#
# *3 points: one for the figures; one for merging against switching in a batch of several customers; one for an adapter
# as a container of its training data.*

# %% [markdown]
# ## 4 · Fewer bits
#
# To write a single token, every weight of a model has to be read from memory once. For one user at a time this reading,
# and not the arithmetic, is what takes the time; and it decides whether the model fits at all. A weight in half the
# bits is read in half the time. How many bits does a weight need?
#
# **Absmax quantisation** rounds a row of weights to multiples of a step, such that the largest fits:
#
# $$s = \frac{\max_j |w_j|}{2^{b-1} - 1}, \qquad k_j = \mathrm{round}(w_j / s) \in \{-127, \dots, 127\} \text{ for } b = 8,
# \qquad w_j \approx s\, k_j .$$
#
# No weight moves by more than $s / 2$, half a step. A *row*, and not the whole matrix, because one large weight makes
# the step coarse for all that share its scale: large models have outliers, and it is they who break naive quantisation
# (Dettmers et al. 2022).
#
# The code $-128$ stays unused: symmetry is worth more than one more code. And a row of zeros must not divide by its
# maximum.
#
# ### Exercise · `quantize`
#
# *●● · 20 minutes.* For fewer than eight bits codes are stored in int8 all the same; packing two into a byte is
# bookkeeping.


# %% exercise="quantize" points=3
def quantize(
    weight: Float[Tensor, "rows columns"],
    *,
    bits: int = 8,
    per_row: bool = True,
) -> tuple[Int8[Tensor, "rows columns"], Float[Tensor, "scales 1"]]:
    """Round weights to small whole numbers and a scale: symmetric absmax quantisation.

    With Q = 2^(bits − 1) − 1, which is 127 for 8 bits, the scale of a row is its largest
    absolute value divided by Q, and its codes are its values divided by the scale, rounded to
    the nearest whole number. Codes lie in [−Q, Q]. A row of zeros has scale 1 and codes 0
    (Dettmers et al. 2022, section 2, with the scale as what codes are to be multiplied by).

    Args:
        weight: weights (rows, columns), one row for each output of a linear layer.
        bits: of a code, from 2 to 8; codes are stored in int8 all the same.
        per_row: a scale for each row; otherwise one for the whole matrix.

    Returns:
        The pair (codes, scales): int8 (rows, columns); and (rows, 1), or (1, 1) if there is
        one scale for all, in the dtype of the weights.
    """
    raise NotImplementedError


# %% [markdown]
# ### Exercise · `dequantize`
#
# *● · 5 minutes.* The way back. Mind the dtype: int8 times int8 overflows.


# %% exercise="dequantize" points=1
def dequantize(
    codes: Int8[Tensor, "rows columns"],
    scales: Float[Tensor, "scales 1"],
) -> Float[Tensor, "rows columns"]:
    """The weights that codes stand for: each code times its scale.

    Args:
        codes: whole numbers (rows, columns), int8.
        scales: (rows, 1), or (1, 1) for one scale for all.

    Returns:
        Weights (rows, columns), in the dtype of the scales.
    """
    raise NotImplementedError


# %% [markdown]
# How far can one go? `tiny-gpt` with all its linear layers rounded to ever fewer bits, and its loss on stories that it
# has not seen. We know the floor: the entropy of the grammar that wrote them.

# %% tags=["hands-on"]
unseen = corpus.write_stories(24, generator=torch.Generator().manual_seed(7))
unseen_texts = [story.text for story in unseen]
length = (as_batch(unseen_texts)[1] >= 0).sum().item() - len(unseen)
floor = sum(story.nats for story in unseen) / length
WIDTHS = [8, 7, 6, 5, 4, 3, 2]
lines = {"a scale for each row": [], "one scale for a matrix": []}
for bits in WIDTHS:
    for name, per_row in zip(lines, (True, False), strict=True):
        rounded = plain_copy()
        for part in rounded.transformer.h.modules():
            if isinstance(part, nn.Linear):
                codes, scales = quantize(part.weight.data, bits=bits, per_row=per_row)
                part.weight.data = dequantize(codes, scales)
        lines[name].append(per_text(rounded, unseen_texts) * len(unseen) / length)
exact = per_text(gpt, unseen_texts) * len(unseen) / length
plots.curves(
    {"How many bits a weight needs": {n: torch.tensor(h).clamp(max=0.5) for n, h in lines.items()}},
    x=WIDTHS,
    xlabel="bits for each weight",
    ylabel="nats a token",
    levels={"32 bits": exact, "entropy": floor},
    legend=True,
)

# %% [markdown]
# Eight bits cost nothing that could be measured, four next to nothing. With three bits there are seven values for a
# weight, and the damage shows where a whole matrix shares one scale. With two bits there are three values, and the
# losses are off the picture: some 2.5 and 6 nats, the second of which is a model that guesses. Models with billions of
# weights behave much alike: at eight bits they lose nothing, and at four, with better methods than ours (GPTQ, AWQ,
# NF4: not all weights matter equally, and values need not be equally spaced), they lose little.
#
#
# ### A layer that stays small
#
# What was done above rounds, but saves nothing: the rounded weights are in 32 bits again. A layer for use keeps the
# codes and decodes them when it is called. (Real ones decode within the multiplication, in the fast memory of the chip,
# so that only bytes travel. Here it is one more matrix for a moment.) Codes are no parameters, since nothing can be
# learnt in steps of 1; as **buffers** they move with the model, and are saved with it.
#
# ### Exercise · `Int8Linear`
#
# *●● · 20 minutes.*


# %% exercise="Int8Linear" points=3
class Int8Linear(nn.Module):
    """A linear layer that keeps its weight as int8 codes.

    It has the buffers `codes` (out, in), int8, and `scales`, both as `encode` gives them for
    the given layer's weight, and `bias` (out,), a copy of the given layer's bias or None. It
    has no parameters, and keeps no weight in floating point: it is for inference.

    Args:
        linear: the layer to quantise; it stays as it is.
        encode: your `quantize`, or another function: encode(weight) gives (codes, scales).
        decode: your `dequantize`, or another function: decode(codes, scales) gives a weight.
    """

    def __init__(
        self,
        linear: nn.Linear,
        *,
        encode: Callable = quantize,
        decode: Callable = dequantize,
    ) -> None:
        super().__init__()
        raise NotImplementedError

    def forward(self, x: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch out"]:
        """What a linear layer with the decoded weight and the bias gives.

        Args:
            x: inputs (…, in), in the dtype of the given layer's weight.

        Returns:
            Outputs (…, out), through which gradients reach x.
        """
        raise NotImplementedError


# %% tags=["hands-on"]


def lighten(model):
    """Put `Int8Linear` in place of the linear layers of all blocks."""
    for parent in list(model.transformer.h.modules()):
        for name, layer in parent.named_children():
            if isinstance(layer, nn.Linear):
                setattr(parent, name, Int8Linear(layer))
    return model


def kilobytes(model):
    """What its layers take: all but the embeddings, which both models have in common."""
    parts = (*model.transformer.h.parameters(), *model.transformer.h.buffers())
    return sum(tensor.numel() * tensor.element_size() for tensor in parts) / 1000


light = lighten(plain_copy()).eval()
beginning = "Once there was an owl called Olga."
print(f"{'':10}{'layers':>10}{'loss':>16}")
for name, model in (("32 bits", gpt), ("8 bits", light)):
    loss = per_text(model, unseen_texts) * len(unseen) / length
    print(f"{name:10}{kilobytes(model):7.0f} kB{loss:9.4f} nats a token")
for name, model in (("32 bits", gpt), ("8 bits", light)):
    print(f"\n{name}: {beginning}{writer(model, tokenizer)([beginning], [45])[0]}")

# %% [markdown]
# ## 5 · Training that fits
#
# ### Forget, and compute again
#
# What takes memory in training is, besides weights and gradients, what the forward pass must remember for the backward
# pass: the input of every layer. It grows with depth, batch and length. But anything that was computed once can be
# computed twice. **Gradient checkpointing** (Chen et al. 2016) cuts a network of $n$ blocks into $k$ segments,
# remembers only the input of each, and on the way back runs one segment again just before it is differentiated. What is
# in memory at a time is $k$ inputs and the inside of one segment: about $k + n/k$ blocks' worth, which is least, $2
# \sqrt n$, for $k = \sqrt n$. The price is one more forward pass: a step takes a third longer, or so. It is how
# networks are trained that are ten times deeper than the memory.
#
# Exactly the same gradients: that is the promise, and it has one enemy, *randomness*. If a block throws dice (dropout),
# the second run must throw the same.
#
# ### Exercise · `checkpointed`
#
# *●●● · 30 minutes.* `torch.utils.checkpoint.checkpoint(function, *inputs, use_reentrant=False)` does it for one
# function; what is left to you is to cut the segments. (You may also write an `autograd.Function`, which is longer, and
# instructive.) Mind what a function that you define in a loop remembers of the loop's variables: it runs again, later.


# %% exercise="checkpointed" points=3
def checkpointed(
    blocks: Sequence[Callable[[Tensor], Tensor]],
    x: Float[Tensor, "*shape"],
    segments: int,
) -> Float[Tensor, "*out"]:
    """Run blocks one after the other, and remember less for the way back.

    The blocks are divided into `segments` runs of consecutive blocks, whose lengths differ by
    at most one, the longer ones first. The forward pass keeps the input of each segment and
    nothing from within it. The backward pass runs each segment once more, the last one first,
    just before it is differentiated (Chen et al. 2016). So every block is called once in the
    forward pass, and in the backward pass once more, or not at all where nothing needs it.
    What is returned, and all gradients, for x and for whatever the blocks depend on, are
    those of the plain composition, whether or not x requires a gradient, and whether they are
    asked for by `backward()` or by `torch.autograd.grad`. Random numbers that a block draws
    from torch's global generator, as dropout does, are the same both times.

    Args:
        blocks: functions or modules, each of which takes the last one's result; at least one.
        x: the input of the first block, of any shape.
        segments: from 1 to the number of blocks.

    Returns:
        The result of the last block.
    """
    raise NotImplementedError


# %% [markdown]
# ### A large batch from small ones
#
# The other way to need less: if a batch of 512 does not fit, pass eight of 64, one after the other, and add up the
# gradients before the optimiser takes a step. A gradient of a mean is a mean of gradients,
#
# $$\nabla \frac1N \sum_{n=1}^{N} \ell_n \;=\; \sum_{m} \frac{N_m}{N}\;
# \nabla \Big( \frac{1}{N_m} \sum_{n \in \text{batch } m} \ell_n \Big) ,$$
#
# where $N_m$ is the size of the $m$-th micro-batch. With equal sizes all weights are $1/M$. With a smaller one at the
# end they are not, and to divide by $M$ all the same gives its examples too much say. Exactly this mistake, with tokens
# in place of examples, stood for years in widely used training code, and was found in 2024.
#
# ### Exercise · `accumulate_gradients`
#
# *●● · 25 minutes.* The memory of one micro-batch must be free before the next begins, so do not add up the losses
# first.


# %% exercise="accumulate_gradients" points=3
def accumulate_gradients(
    model: nn.Module,
    criterion: Callable[[Tensor, Tensor], Tensor],
    batches: Sequence[tuple[Tensor, Tensor]],
) -> tuple[Float[Tensor, ""], list[Tensor]]:
    """Loss and gradients of one large batch, computed from small ones that fit into memory.

    The loss is the mean over all examples of all micro-batches together, as if they were one
    batch: a micro-batch weighs as much as it has examples, and they may differ in size. Each
    one is passed forward and differentiated before the next one is touched, so that there is
    never more than one graph.

    Args:
        model: model(x) gives outputs; it treats each example by itself.
        criterion: criterion(outputs, y) is the mean of the loss over the examples given to
            it, of shape ().
        batches: micro-batches (x, y), the examples along the first dimension of both; at
            least one micro-batch and one example in each.

    Returns:
        The pair (loss, gradients): the loss, of shape (), without a graph; and a list with
        the gradient of the loss for each parameter that requires one, in the order of
        `model.parameters()`, zeros if it takes no part. What stands in `.grad` before the
        call is no part of them; what stands there afterwards is up to you.
    """
    raise NotImplementedError


# %% [markdown]
# The bytes that are alive, operation by operation, in one training step of a network of 16 blocks: what goes up in the
# forward pass comes down in the backward pass.

# %% tags=["hands-on"]
torch.manual_seed(0)
parts = [nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)) for _ in range(16)]
blocks = nn.Sequential(*parts)
x, y = torch.randn(512, 64), torch.randn(512, 64)


def squared_error(outputs, targets):
    """The loss, a mean over the batch."""
    return (outputs - targets).square().mean()


def one_step(run):
    """The memory of a training step over time, in megabytes, and its gradients."""
    blocks.zero_grad()
    with Ledger() as ledger:
        gradients = run()
    return torch.tensor(ledger.history) / 1e6, gradients


def plainly():
    """All of it at once."""
    return torch.autograd.grad(squared_error(blocks(x), y), list(blocks.parameters()))


def in_segments():
    """With four segments."""
    loss = squared_error(checkpointed(list(blocks), x, 4), y)
    loss.backward()
    return [parameter.grad for parameter in blocks.parameters()]


def in_portions():
    """With four micro-batches."""
    portions = list(zip(x.split(128), y.split(128), strict=True))
    return accumulate_gradients(blocks, squared_error, portions)[1]


runs = {"plain": plainly, "4 segments": in_segments, "4 micro-batches": in_portions}
found = {name: one_step(run) for name, run in runs.items()}
lines = {}
for name, (history, gradients) in found.items():
    pairs = zip(gradients, found["plain"][1], strict=True)
    difference = max((a - b).abs().max().item() for a, b in pairs)
    print(f"{name:16} at most {history.max():5.1f} MB, gradients differ by {difference:.0e}")
    lines[f"{name}: {history.max():.0f} MB"] = (torch.linspace(0, 1, len(history)), history)
plots.curves(
    {"Memory in one training step": lines},
    xlabel="share of the step's operations",
    ylabel="megabytes alive",
    legend=True,
)

# %% [markdown]
# ### More than one machine
#
# Both tricks trade time for memory on one device. Beyond that, work is divided, and there are only so many ways to cut
# it:
#
# | cut along | each device has | they exchange |
# | --- | --- | --- |
# | the batch (*data parallel*) | all weights, some examples | gradients, once a step |
# | the batch, and the state (*ZeRO*, Rajbhandari et al. 2020) | a slice of weights and state | weights, when needed |
# | the matrices (*tensor parallel*, Shoeybi et al. 2019) | a slice of each layer | activations, in every layer |
# | the layers (*pipeline parallel*, Huang et al. 2019) | some layers | activations, between neighbours |
#
# `accumulate_gradients` is data parallelism with one device that plays all of them in turn: the arithmetic is the same.
# Why is it worth it? Because loss falls with size in a way that can be foretold: as a power of the number of weights,
# of the data, and of the arithmetic, over many orders of magnitude (Kaplan et al. 2020), and for a given budget both
# weights and data should grow together, some twenty tokens for each weight (Hoffmann et al. 2022).

# %% [markdown]
# ## 6 · Serving
#
# A server's time is dear, and a model that answers one user at a time wastes nearly all of it: the weights are read for
# one token, and might as well have served thirty. So requests are collected and answered in **batches**. Collecting
# means waiting, and waiting is what users notice. A policy is needed: start as soon as the batch is full, but keep
# nobody waiting for longer than `max_wait`. And since a batch is padded to its longest request, one long one makes all
# of them dear; so its *padded* size is limited, too.
#
# The policy is a small program that is easy to get nearly right. Before it goes into a server, where everything is a
# matter of chance, we make it deterministic: given when requests arrive, and how long a batch takes, who is served with
# whom, and when?
#
# ### Exercise · `dynamic_batches`
#
# *●●● · 40 minutes.* Take one batch at a time: what is the earliest moment at which *it* may start, and who is there at
# that moment? While the server is busy more people come.


# %% exercise="dynamic_batches" points=4
def dynamic_batches(
    arrivals: Sequence[float],
    lengths: Sequence[int],
    *,
    max_size: int,
    max_wait: float,
    max_tokens: int | None = None,
    seconds: Callable[[list[int]], float] | None = None,
) -> list[tuple[float, list[int]]]:
    """Which requests a server answers together, and when: a queue with dynamic batching.

    The server works on one batch at a time. The next batch holds the oldest waiting requests,
    as many as fit, in the order of their arrival: at most `max_size`, and padded to the
    longest of them at most `max_tokens` tokens, number times largest length. The first that
    does not fit ends the batch, though a later one might fit. The oldest is always taken,
    even if it alone has more tokens than that.

    A batch is full if it has `max_size` requests, or if there waits one that does not fit. It
    is started at the first moment when the server is free, somebody waits, and the batch is
    full or its oldest request has waited for `max_wait`. Who arrives at that very moment
    is there.

    Args:
        arrivals: when each request comes, in seconds, in ascending order.
        lengths: tokens of each request, at least 1.
        max_size: the most requests in a batch, at least 1.
        max_wait: how long a request is kept waiting for others, in seconds, while the server
            is free; 0 or more.
        max_tokens: the most tokens in a batch, padding included. None: no limit.
        seconds: seconds(lengths) is how long the server is busy with a batch of requests of
            these lengths. It is asked once for each batch. None: no time at all.

    Returns:
        For each batch, in the order in which they are started, the pair (start, requests):
        the moment, and the places of its requests in `arrivals`.

    Raises:
        ValueError: if the arrivals are not in order.
    """
    raise NotImplementedError


# %% [markdown]
# Forty requests within two seconds, in a random rush. A batch of $n$ takes 80 ms and 6 ms more for each request in
# it.

# %% tags=["hands-on"]
generator = torch.Generator().manual_seed(4)
gaps = -torch.rand(40, generator=generator).log() * 0.05
arrivals = gaps.cumsum(dim=0).tolist()


def duration(lengths):
    """Seconds that the server takes for a batch."""
    return 0.08 + 0.006 * len(lengths)


policies = {
    "one at a time": {"max_size": 1, "max_wait": 0.0},
    "up to 16, no waiting": {"max_size": 16, "max_wait": 0.0},
    "up to 16, wait 0.1 s": {"max_size": 16, "max_wait": 0.1},
}
shown, took = {}, {}
for name, policy in policies.items():
    batches = dynamic_batches(arrivals, [1] * len(arrivals), seconds=duration, **policy)
    took[name] = [duration(members) for _, members in batches]
    waits = [
        start + seconds - arrivals[member]
        for (start, members), seconds in zip(batches, took[name], strict=True)
        for member in members
    ]
    mean = sum(waits) / len(waits)
    shown[f"{name}: {mean:.2f} s"] = batches
took = dict(zip(shown, took.values(), strict=True))
plots.queue(shown, arrivals, took)

# %% [markdown]
# One at a time, the queue grows without end. With batches nobody waits long, and, which surprises most people, waiting
# for others on purpose gains nothing here: when the server is busy, the next batch fills by itself. It pays where a
# batch of one is dear in itself, as on a machine that is paid for by the call.
#
# ### The door
#
# An app that can be reached from outside will be sent anything: a book in place of a sentence, −1 tokens, a number that
# is no number, half of a letter, by mistake and on purpose. *Everything from outside is a claim*. An app around a model
# needs
#
# - **validation**: what does not have the promised form is refused (422), before the model hears of it. FastAPI does
#   most of it from a pydantic model with the right `Field`s, if it is told to be strict: by default, "5" would pass for
#   5.
# - **limits** on everything: the size of a request (413), the length of a prompt, the number of tokens, the number of
#   those who wait (503). What has no limit will be found by somebody.
# - **silence about its inside**. An exception's message may hold a path, a password, another user's prompt. To the
#   outside it is "the model failed" (500), and the details belong into a log. And what was refused is not repeated in
#   the answer. FastAPI's own handler does repeat it, and falls over what cannot be written as JSON: `NaN`, or
#   `"\ud800"`, half a pair of surrogates. Give it a handler of your own for `RequestValidationError`.
# - **a health page**, for the machine that watches it. It must answer while the model works, so it must not stand in
#   the queue.
# - **batching**. `coursekit.serving.Batcher` is the policy above for real requests: `await batcher(item)` waits for the
#   result of one item, and calls your function for all that wait together, in a thread. Too many, and it raises
#   `Overloaded`.
# - **a page**, so that people can use it. `page()` is one file that loads nothing from elsewhere. It shows what the
#   model wrote as text, never as HTML: a model that was asked to write `<script>` must not be able to run one in the
#   reader's browser. The headers in `PAGE_HEADERS` tell the browser the same (a *content security policy*).
#
# `ask(app, "POST", "/generate", {"prompt": "Once"})` asks your app without any network, and gives status and body: this
# is how it is tested. `LimitBody` is middleware: `app.add_middleware(LimitBody, max_bytes=…)`.
#
# ### Exercise · `create_app`
#
# *●●● · 45 minutes.* Begin with /health, and ask it. A trap of Python: in a class inside a function, a field that is
# called like an argument hides the argument.


# %% exercise="create_app" points=4
def create_app(
    generate: Callable[[list[str], list[int]], list[str]],
    *,
    max_prompt: int = 1000,
    max_tokens: int = 100,
    max_body: int = 65_536,
    max_batch: int = 8,
    max_wait: float = 0.02,
    max_waiting: int = 64,
) -> FastAPI:
    """An HTTP app around a language model.

    - GET / answers 200 with the HTML of `page()` and the headers `PAGE_HEADERS`.
    - GET /health answers 200 with {"status": "ok"}, without asking the model.
    - POST /generate takes {"prompt": "…", "max_tokens": 20} and answers 200 with
      {"text": "…"}, what the model wrote for it. `max_tokens` may be left out, and is 20
      then, or the limit if that is less.

    Requests to /generate that wait at the same moment are answered together, by one call of
    the model for at most `max_batch` of them, oldest first, as `Batcher` does it. The
    model is never called twice at a time, and while it works the app answers other requests.
    What cannot be answered gets

    - 422 if what was sent is no JSON object, has other keys, lacks the prompt, or if the prompt
      is no string of 1 to `max_prompt` characters, or `max_tokens` is no whole number from 1
      to the limit ("5", 5.0 and true are none). For what cannot be parsed 400 will do as
      well. The answer is JSON, whatever was sent, NaN and broken Unicode too.
    - 413 if the body has more than `max_body` bytes, whatever it holds: see `LimitBody`.
    - 503 if `max_waiting` requests wait already: see `Overloaded`.
    - 500 if the model raises an exception; the answer is JSON and does not hold the
      exception's message. The requests after it are answered as if nothing had happened.

    With 413, 422, 400 and 503 the model is not asked.

    Args:
        generate: generate(prompts, max_tokens) gives a text for each prompt of a list, of at
            most so many tokens as the second list says; it may take seconds.
        max_prompt: the most characters of a prompt.
        max_tokens: the most tokens that may be asked for.
        max_body: the most bytes in the body of a request.
        max_batch: the most prompts in one call of the model.
        max_wait: seconds that a request waits for others, at most, before the model is asked.
        max_waiting: the most requests that may wait.

    Returns:
        The app. Each call makes a new one, which shares nothing with others.
    """
    raise NotImplementedError


# %% [markdown]
# Your app around the light model of section 4, first without a network.

# %% tags=["hands-on"]
write = writer(light, tokenizer)
app = create_app(write)
for body in (
    {"prompt": "Once there was a fox", "max_tokens": 12},
    {"prompt": "Once there was a fox", "max_tokens": 1_000_000},
    {"prompt": "<script>alert(1)</script>", "max_tokens": 5},
    {"prompt": ["no", "text"]},
):
    status, answer = ask(app, "POST", "/generate", body)
    print(status, str(answer)[:100])
print(*ask(app, "GET", "/health"))

# %% [markdown]
# Then on a real port of this machine, with uvicorn: open the address in a browser, type a beginning, and see how it
# goes on. It runs as long as this notebook's kernel. (If the kernel runs on another machine, the address is that
# machine's.)

# %% tags=["hands-on"]
running = ExitStack()
address = running.enter_context(serve(app))
print(f"open {address} in a browser; running.close() ends it")

# %% [markdown]
# And under load: forty people within a second, each of whom wants 30 tokens. Once with batches of up to sixteen, once
# without.

# %% tags=["hands-on"]
generator = torch.Generator().manual_seed(5)
moments = torch.rand(40, generator=generator).sort().values.tolist()
begun = [f"One morning, {TITLES[number % 12]}" for number in range(40)]
bodies = [{"prompt": text, "max_tokens": 30} for text in begun]
latencies = {}
for name, size in (("one at a time", 1), ("up to 16 together", 16)):
    with serve(create_app(write, max_batch=size, max_wait=0.01)) as place:
        answers, seconds = send(f"{place}/generate", bodies, moments)
    latencies[f"{name}: {sum(seconds) / len(seconds):.2f} s on average"] = torch.tensor(seconds)
print(begun[3] + answers[3]["text"])
plots.histogram(latencies, xlabel="seconds until the answer", title="Forty people within a second")

# %% [markdown]
# ### To the cloud
#
# What runs here runs there: an app is a Python file, a *container* is that file with everything that it needs, and
# every cloud platform runs containers. `docs/deploy.md` of the course has a container file and the steps from this
# notebook to an address on the Internet, with what must be thought of on the way: who pays if a million people come,
# what is logged (prompts are private), how it is updated, and how it is switched off.
#
# What one would use beyond a course: servers made for language models (vLLM, TGI, llama.cpp) batch not by request but
# by *token*, so that a short answer leaves the batch while a long one goes on, and the next request takes its place
# (*continuous batching*, Yu et al. 2022). The policy of this section is where they began.

# %% [markdown] question="deployment" points=3
# ### Question · Monday morning
#
# Your app is to be opened to ten thousand students on Monday. (a) From what you measured above, say how you would find
# out how many requests a second one machine can take while nineteen out of twenty users wait for less than two seconds.
# (b) Choose `max_wait`, `max_batch` and `max_waiting`, each with its reason. (c) On Monday at nine the queue is full.
# What do users see, what should they see, and why is it better than a queue without limit?
#
# *3 points: one for a measurement under a load that is like the real one, and its percentile; one for the three
# numbers; one for why refusing early is kinder than accepting everything.*

# %% [markdown] question="release" points=3
# ### Question · Before you open the door
#
# You have a model that is small, fast and, by two rulers, fair. Write the part of its model card that is headed
# *Intended use and limits*: for whom it is, what it must not be used for, which of its biases you have measured, by
# what, and which you have not, and what somebody should do who is harmed by it.
#
# *3 points: one for uses and misuses that fit this model; one for measured and unmeasured biases, honestly divided; one
# for a way to complain that leads somewhere. Half a page.*

# %% [markdown]
# ## Further reading
#
# - Brown et al. (2020), *Language Models are Few-Shot Learners*; Zhao et al. (2021), *Calibrate Before Use*; Olsson et
#   al. (2022), *In-context Learning and Induction Heads*.
# - Barocas, Hardt & Narayanan, *Fairness and Machine Learning*, a book that is free on the web; Caliskan et al. (2017),
#   *Semantics derived automatically from language corpora contain human-like biases*; Bolukbasi et al. (2016) together
#   with Gonen & Goldberg (2019), who answer them; Mitchell et al. (2019), *Model Cards for Model Reporting*.
# - Hu et al. (2022), *LoRA*; Dettmers et al. (2023), *QLoRA*, which puts sections 3 and 4 together: adapters over a
#   base in four bits.
# - Dettmers et al. (2022), *LLM.int8()*; Frantar et al. (2023), *GPTQ*.
# - Chen et al. (2016), *Training Deep Nets with Sublinear Memory Cost*; Rajbhandari et al. (2020), *ZeRO*.
# - Yu et al. (2022), *Orca*, on continuous batching; Kwon et al. (2023), *Efficient Memory Management for Large
#   Language Model Serving with PagedAttention*; the OWASP list of risks of applications with language models.
