"""Reference answers for the assignment `advanced`: in context, fairness, LoRA, quantisation, memory, serving."""

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

# `ask`, `ask_together` and `headers_of` are for those who question the app.
from coursekit.serving import (  # noqa: F401
    PAGE_HEADERS,
    Batcher,
    LimitBody,
    Overloaded,
    ask,
    ask_together,
    headers_of,
    page,
)


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
    for first in range(len(examples) + 1):
        blocks = [instruction] if instruction else []
        blocks += [f"Input: {given}\nOutput: {answer}" for given, answer in examples[first:]]
        prompt = "\n\n".join([*blocks, f"Input: {query}\nOutput:"])
        if limit is None or length(prompt) <= limit:
            return prompt
    raise ValueError(f"the query alone is longer than {limit}")


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
    rows = nn.utils.rnn.pad_sequence(
        [torch.cat([prompt, label]) for label in labels], batch_first=True, padding_value=padding
    )
    log_probs = model(rows).log_softmax(dim=-1)
    scores = []
    for row, label in zip(log_probs, labels, strict=True):
        places = torch.arange(len(label), device=label.device) + len(prompt) - 1
        total = row[places, label].sum()
        scores.append(total / len(label) if normalize else total)
    return torch.stack(scores)


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
    log_probs = scores.log_softmax(dim=1)
    if content_free is not None:
        # The mean over inputs but for their number, which the normalisation takes away.
        prior = content_free.log_softmax(dim=1).logsumexp(dim=0)
        log_probs = (log_probs - prior).log_softmax(dim=1)
    return log_probs.argmax(dim=1), log_probs.exp()


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
    if qualified is not None:
        decisions, groups = decisions[qualified != 0], groups[qualified != 0]
    if not len(groups):
        raise ValueError("there is nobody to compare")
    rates = torch.stack([decisions[groups == group].mean() for group in groups.unique()])
    return rates.max() - rates.min()


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
    partner = {a: b for one, other in pairs for a, b in ((one, other), (other, one))}

    def swapped(found: re.Match[str]) -> str:
        word = found[0]
        other = partner.get(word.lower())
        if other is None:
            return word
        return other.capitalize() if word[0].isupper() else other

    return re.sub("[A-Za-z]+", swapped, text)


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
    changed = [(text, other) for text in texts if (other := swap(text)) != text]
    if not changed:
        raise ValueError("no text holds anything to swap")
    originals, others = zip(*changed, strict=True)
    return (score(list(originals)) - score(list(others))).abs().mean()


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

    def association(targets: Tensor) -> Tensor:
        near, far = (F.cosine_similarity(targets[:, None], words, dim=2).mean(dim=1) for words in (a, b))
        return near - far

    of_x, of_y = association(x), association(y)
    return (of_x.mean() - of_y.mean()) / torch.cat([of_x, of_y]).std(), of_x, of_y


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
    pool = torch.cat([x, y]).double()
    chosen = torch.tensor(list(itertools.combinations(range(len(pool)), len(x))), device=x.device)
    sums = pool[chosen].sum(dim=1)
    differences = sums / len(x) - (pool.sum() - sums) / len(y)
    observed = x.double().mean() - y.double().mean()
    return (differences >= observed - 1e-6).double().mean().item()


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
    centred = pairs - pairs.mean(dim=1, keepdim=True)
    direction = torch.linalg.svd(centred.flatten(0, 1), full_matrices=False).Vh[0]
    return torch.where((centred[:, 0] @ direction).sum() < 0, -direction, direction)


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
    unit = direction / direction.norm()
    return vectors - strength * torch.outer(vectors @ unit, unit)


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
        self.linear = linear.requires_grad_(False)
        self.scale = alpha / rank
        self.merged = False
        weight = linear.weight
        start = torch.randn(rank, linear.in_features, generator=generator) / math.sqrt(linear.in_features)
        self.A = nn.Parameter(start.to(weight))
        self.B = nn.Parameter(weight.new_zeros(linear.out_features, rank))

    def forward(self, x: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch out"]:
        """The given layer plus the update; once merged, the given layer alone.

        Args:
            x: inputs (…, in).

        Returns:
            Outputs (…, out).
        """
        y = self.linear(x)
        return y if self.merged else y + self.scale * (x @ self.A.T @ self.B.T)

    def merge(self) -> None:
        """Add (alpha / rank) · B A to the given layer's weight, in place, and set `merged`.

        Outputs stay the same, and cost no more than before there was an update. Merging what
        is merged changes nothing.
        """
        if not self.merged:
            with torch.no_grad():
                self.linear.weight += self.scale * (self.B @ self.A)
            self.merged = True

    def unmerge(self) -> None:
        """Undo `merge`: take the update out of the given layer's weight, and clear `merged`.

        If nothing is merged it changes nothing.
        """
        if self.merged:
            with torch.no_grad():
                self.linear.weight -= self.scale * (self.B @ self.A)
            self.merged = False


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
    model.requires_grad_(False)
    found = [
        name
        for name, part in model.named_modules()
        if name and isinstance(part, nn.Linear) and name.rpartition(".")[2] in targets
    ]
    if not found:
        raise ValueError(f"no linear layer is called {' or '.join(targets)}")
    for name in found:
        parent, _, leaf = name.rpartition(".")
        owner = model.get_submodule(parent)
        setattr(owner, leaf, adapt(getattr(owner, leaf), rank, alpha))
    return model


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """How many numbers of a model are trained, and how many it has.

    A parameter that is used in several places counts once. Buffers do not count.

    Args:
        model: any module.

    Returns:
        The pair (trainable, total): elements of the parameters that require gradients, and
        of all parameters.
    """
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, trained in sizes if trained), sum(n for n, _ in sizes)


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
    most = 2 ** (bits - 1) - 1
    largest = weight.abs().amax(dim=1, keepdim=True) if per_row else weight.abs().amax().view(1, 1)
    scales = torch.where(largest > 0, largest / most, torch.ones_like(largest))
    return (weight / scales).round().clamp(-most, most).to(torch.int8), scales


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
    return codes.to(scales.dtype) * scales


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
        codes, scales = encode(linear.weight.detach())
        self.register_buffer("codes", codes)
        self.register_buffer("scales", scales)
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().clone())
        self.decode = decode

    def forward(self, x: Float[Tensor, "*batch features"]) -> Float[Tensor, "*batch out"]:
        """What a linear layer with the decoded weight and the bias gives.

        Args:
            x: inputs (…, in), in the dtype of the given layer's weight.

        Returns:
            Outputs (…, out), through which gradients reach x.
        """
        return F.linear(x, self.decode(self.codes, self.scales), self.bias)


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

    def run(segment: Sequence[Callable], x: Tensor) -> Tensor:
        for block in segment:
            x = block(x)
        return x

    size, longer = divmod(len(blocks), segments)
    start = 0
    for index in range(segments):
        end = start + size + (index < longer)
        x = checkpoint(run, blocks[start:end], x, use_reentrant=False)
        start = end
    return x


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
    parameters = [p for p in model.parameters() if p.requires_grad]
    gradients = [torch.zeros_like(p) for p in parameters]
    count = sum(len(x) for x, _ in batches)
    total = torch.tensor(0.0)
    for x, y in batches:
        loss = criterion(model(x), y) * (len(x) / count)
        for gradient, part in zip(gradients, torch.autograd.grad(loss, parameters, allow_unused=True), strict=True):
            if part is not None:
                gradient += part
        total = total.to(loss) + loss.detach()
    return total, gradients


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
    if any(later < earlier for earlier, later in itertools.pairwise(arrivals)):
        raise ValueError("requests have to be given in the order of their arrival")
    batches: list[tuple[float, list[int]]] = []
    first, free = 0, -math.inf
    while first < len(arrivals):
        # The batch that it would be if everybody were there already.
        end, longest = first, 0
        while end < len(arrivals) and end - first < max_size:
            longest = max(longest, lengths[end])
            if end > first and max_tokens is not None and longest * (end - first + 1) > max_tokens:
                break
            end += 1
        # Full with its last request, or with the one after it that does not fit; the last batch may never be.
        closing = end - 1 if end - first == max_size else end
        full = arrivals[closing] if closing < len(arrivals) else math.inf
        start = max(free, min(full, arrivals[first] + max_wait))
        batch = [index for index in range(first, end) if arrivals[index] <= start]
        batches.append((start, batch))
        free = start + (seconds([lengths[index] for index in batch]) if seconds else 0.0)
        first += len(batch)
    return batches


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
    most = max_tokens  # in the class below the name means the field

    class Request(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True)
        prompt: str = Field(min_length=1, max_length=max_prompt)
        max_tokens: int = Field(default=min(20, most), ge=1, le=most)

    def write(requests: list[Request]) -> list[str]:
        return generate([r.prompt for r in requests], [r.max_tokens for r in requests])

    app = FastAPI()
    app.add_middleware(LimitBody, max_bytes=max_body)
    batcher = Batcher(write, max_batch=max_batch, max_wait=max_wait, max_waiting=max_waiting)

    @app.exception_handler(RequestValidationError)
    async def refuse(request: object, error: RequestValidationError) -> JSONResponse:
        # FastAPI's own answer repeats what was sent, and NaN or half a surrogate pair cannot be sent back as JSON.
        faults = [{"loc": list(fault["loc"]), "msg": fault["msg"]} for fault in error.errors()]
        return JSONResponse({"detail": faults}, 422)

    @app.get("/")
    async def index() -> HTMLResponse:
        return HTMLResponse(page(), headers=PAGE_HEADERS)

    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/generate")
    async def generate_text(request: Request) -> dict[str, str]:
        try:
            return {"text": await batcher(request)}
        except Overloaded:
            raise HTTPException(503, "too many requests are waiting", {"Retry-After": "1"}) from None
        except Exception:
            raise HTTPException(500, "the model failed") from None

    return app
