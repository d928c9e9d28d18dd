"""Reference answers to `transformers`. Each has the signature and the docstring of its stub in the starter."""

import itertools
import math
from collections import Counter
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


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
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])
    if mask is None:
        return scores.softmax(dim=-1) @ value
    # −∞ would make NaN of a row in which nothing is allowed, so such weights are taken away afterwards.
    scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=-1).masked_fill(~mask, 0.0)
    return weights @ value


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
        if width % heads:
            raise ValueError(f"{width} features cannot be shared evenly by {heads} heads")
        self.heads = heads
        self.causal = causal
        self.attend = attend
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

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
        length = x.shape[1]
        allowed = torch.ones(length, length, dtype=torch.bool, device=x.device)
        if self.causal:
            allowed = allowed.tril()
        if mask is not None:
            allowed = allowed & mask[:, None, None, :]
        query, key, value = (self._split(part(x)) for part in (self.query, self.key, self.value))
        heads = self.attend(query, key, value, allowed)
        return self.output(heads.transpose(1, 2).flatten(2))

    def _split(self, x: Tensor) -> Tensor:
        """(batch, length, width) to (batch, heads, length, width / heads)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


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
    if width % 2:
        raise ValueError(f"sines and cosines come in pairs, so {width} features will not do")
    frequencies = base ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(length).unsqueeze(1) * frequencies
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)


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
    width = x.shape[-1]
    if width % 2:
        raise ValueError(f"features are turned in pairs, so {width} of them will not do")
    exact = torch.promote_types(x.dtype, torch.float32)  # an angle of 1000 in float16 would be off by half a radian
    pairs = torch.arange(0, width, 2, device=x.device, dtype=exact)
    angles = positions.to(exact).unsqueeze(1) * base ** (-pairs / width)
    cos, sin = angles.cos(), angles.sin()
    first, second = x.to(exact).unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([first * cos - second * sin, first * sin + second * cos], dim=-1)
    return turned.flatten(-2).to(x.dtype)


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
        self.norm1 = nn.LayerNorm(width)
        self.attention = attention
        self.norm2 = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

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
        x = x + self.attention(self.norm1(x), mask)
        return x + self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh"))


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
        self.token = nn.Embedding(vocabulary, width)
        self.position = nn.Embedding(context, width)
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        for embedding in (self.token, self.position):
            nn.init.normal_(embedding.weight, std=0.02)

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
        length = ids.shape[1]
        if length > self.position.num_embeddings:
            raise ValueError(f"{length} tokens do not fit into a context of {self.position.num_embeddings}")
        x = self.token(ids) + self.position(torch.arange(length, device=ids.device))
        for block in self.blocks:
            x = block(x, mask)
        return self.norm(x) @ self.token.weight.T


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
    merged: list[int] = []
    position = 0
    while position < len(tokens):
        if tuple(tokens[position : position + 2]) == tuple(pair):
            merged.append(new)
            position += 2
        else:
            merged.append(tokens[position])
            position += 1
    return merged


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
    words = [list(word) for word in words]
    merges: list[tuple[int, int]] = []
    for new in range(first, first + count):
        pairs = Counter(pair for word in words for pair in itertools.pairwise(word))
        best = min(pairs, key=lambda pair: (-pairs[pair], pair), default=None)
        if best is None or pairs[best] < 2:
            break
        words = [merge(word, best, new) for word in words]
        merges.append(best)
    return merges


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
    surprises = F.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten().long(), ignore_index=-100, reduction="sum"
    )
    count = (labels[:, 1:] != -100).sum()
    if count == 0:
        raise ValueError("there is no token whose surprise could be measured")
    return (surprises / count).exp()


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
    past = 0
    if cache is not None:
        past = cache[0].shape[2]
        key, value = torch.cat([cache[0], key], dim=2), torch.cat([cache[1], value], dim=2)
    mask = torch.ones(query.shape[2], key.shape[2], dtype=torch.bool, device=query.device).tril(past)
    return attend(query, key, value, mask), (key, value)


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
    texts, ids, cache = prompt.long(), prompt, None
    ended = torch.zeros(len(prompt), dtype=torch.bool, device=prompt.device)
    with torch.no_grad():
        for position in range(new_tokens):
            if ended.all():
                rest = texts.new_full((len(texts), new_tokens - position), end)
                return torch.cat([texts, rest], dim=1)
            logits, cache = step(ids, cache)
            chosen = logits[:, -1].argmax(dim=1) if choose is None else choose(logits[:, -1])
            if end is not None:
                chosen = chosen.masked_fill(ended, end)
                ended = ended | (chosen == end)
            ids = chosen.unsqueeze(1)
            texts = torch.cat([texts, ids], dim=1)
    return texts


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
    kept = torch.isin(tokens, torch.tensor(protected, dtype=tokens.dtype, device=tokens.device))
    selected = (select < rate) & ~kept
    labels = tokens.masked_fill(~selected, -100)
    inputs = tokens.masked_fill(selected & (action < 0.8), mask_token)
    inputs = torch.where(selected & (action >= 0.8) & (action < 0.9), replacements, inputs)
    return inputs, labels


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
    inputs: list[int] = []
    targets: list[int] = []
    before = False
    for token, gone in zip(tokens.tolist(), corrupted.tolist(), strict=True):
        if gone and not before:
            inputs.append(sentinel)
            targets.append(sentinel)
            sentinel -= 1
        (targets if gone else inputs).append(token)
        before = gone
    return tokens.new_tensor(inputs), tokens.new_tensor([*targets, sentinel])


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
    start = torch.zeros_like(relative_position, dtype=torch.int64)
    side = buckets
    if bidirectional:
        side = buckets // 2
        start = start + side * (relative_position > 0)
        distance = relative_position.abs()
    else:
        distance = (-relative_position).clamp(min=0)
    exact = side // 2
    far = (distance.clamp(min=1).double() / exact).log() / math.log(max_distance / exact) * (side - exact)
    drawer = (exact + far.long()).clamp(max=side - 1)
    return start + torch.where(distance < exact, distance, drawer)


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
    answer = mask & (mask.cumsum(dim=1) > prompt_lengths.unsqueeze(1))
    return tokens.masked_fill(~answer, -100)


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
    text = ""
    for index, message in enumerate(messages):
        role, content = message["role"], message["content"]
        if role not in begin or (role == "system" and index > 0):
            raise ValueError(f"message {index} cannot have the role {role!r}")
        if any(marker in content for marker in special):
            raise ValueError(f"message {index} holds a marker of the format")
        text += f"{begin[role]}{content}{end.get(role, '')}"
    return text + begin["assistant"] if add_generation_prompt else text


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
    system = list(messages[:1]) if messages and messages[0]["role"] == "system" else []
    for start in range(len(system), len(messages)):
        kept = [*system, *messages[start:]]
        if messages[start]["role"] == "user" and count(kept) <= budget:
            return kept
    raise ValueError(f"no part of the conversation fits into {budget} tokens")


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
    if not (0 <= correct <= samples and 1 <= k <= samples):
        raise ValueError(f"{correct} of {samples} programs passed, and {k} are drawn: that cannot be")
    return 1.0 - math.comb(samples - correct, k) / math.comb(samples, k)


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
    lengths = [0] * (len(reference) + 1)
    for word in candidate:
        diagonal = 0
        for index, other in enumerate(reference):
            above = lengths[index + 1]
            lengths[index + 1] = diagonal + 1 if word == other else max(above, lengths[index])
            diagonal = above
    common = lengths[-1]
    if common == 0:
        return 0.0, 0.0, 0.0
    precision, recall = common / len(candidate), common / len(reference)
    return precision, recall, 2 * precision * recall / (precision + recall)
