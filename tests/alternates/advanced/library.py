"""Correct answers to `advanced` by library calls, einsum and double precision, with other but equal algebra."""

import asyncio
import bisect
import itertools
import math
import re
import textwrap
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def few_shot_prompt(
    examples: Sequence[tuple[str, str]],
    query: str,
    *,
    instruction: str = "",
    limit: int | None = None,
    length: Callable[[str], int] = len,
) -> str:
    block = "Input: %s\nOutput: %s"
    head = f"{instruction}\n\n" * bool(instruction)
    tail = f"Input: {query}\nOutput:"
    prompts = [
        head + "".join(block % example + "\n\n" for example in examples[len(examples) - count :]) + tail
        for count in range(len(examples) + 1)
    ]
    if limit is None:
        return prompts[-1]
    fitting = bisect.bisect_right([length(prompt) for prompt in prompts], limit)
    if not fitting:
        raise ValueError(textwrap.shorten(f"{query} does not fit", 80))
    return prompts[fitting - 1]


def label_log_likelihoods(
    model: Callable[[Tensor], Tensor],
    prompt: Tensor,
    labels: Sequence[Tensor],
    *,
    padding: int = 0,
    normalize: bool = False,
) -> Tensor:
    counts = torch.tensor([label.numel() for label in labels])
    width = int(counts.max())
    inside = torch.arange(width) < counts[:, None]
    targets = torch.full((len(labels), width), padding, dtype=prompt.dtype)
    targets[inside] = torch.cat(list(labels))
    logits = model(torch.cat([prompt.expand(len(labels), -1), targets], dim=1))[:, prompt.numel() - 1 : -1]
    surprise = F.cross_entropy(logits.mT, targets.masked_fill(~inside, -100), reduction="none", ignore_index=-100)
    total = -surprise.sum(dim=-1)
    return total.div(counts.to(total)) if normalize else total


def zero_shot_classify(scores: Tensor, content_free: Tensor | None = None) -> tuple[Tensor, Tensor]:
    wide = scores.double()
    if content_free is not None:
        logs = F.log_softmax(content_free.double(), dim=-1)
        # Multiplying by the diagonal matrix W is adding −log p̄ to the scores.
        wide = wide - torch.logsumexp(logs - math.log(logs.shape[0]), dim=0)
    probabilities = wide.softmax(dim=-1)
    return probabilities.max(dim=-1).indices, probabilities.to(scores.dtype)


def demographic_parity_gap(decisions: Tensor, groups: Tensor, *, qualified: Tensor | None = None) -> Tensor:
    counted = torch.ones_like(groups, dtype=torch.bool) if qualified is None else qualified.bool()
    if not counted.any():
        raise ValueError("nobody counts")
    _, places = groups[counted].unique(return_inverse=True)
    members = F.one_hot(places).to(decisions.dtype)
    rates = torch.einsum("n,ng->g", decisions[counted], members) / members.sum(dim=0)
    return torch.aminmax(rates).max - torch.aminmax(rates).min


def swap_terms(text: str, pairs: Sequence[tuple[str, str]]) -> str:
    table = dict(pairs) | {other: one for one, other in pairs}
    pieces = re.split("([A-Za-z]+)", text)
    for place in range(1, len(pieces), 2):
        word = pieces[place]
        new = table.get(word.casefold(), word)
        pieces[place] = word if word.casefold() not in table else new.title() if word[0] < "a" else new
    return "".join(pieces)


def counterfactual_gap(
    score: Callable[[list[str]], Tensor], texts: Sequence[str], swap: Callable[[str], str]
) -> Tensor:
    others = list(map(swap, texts))
    changed = torch.tensor([text != other for text, other in zip(texts, others, strict=True)])
    if not changed.any():
        raise ValueError("swap changes nothing")
    both = score([*texts, *others]).unflatten(0, (2, -1))
    return F.l1_loss(both[0, changed], both[1, changed])


def embedding_association(x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    unit = [F.normalize(part.double(), dim=-1) for part in (x, y, a, b)]
    contrast = unit[2].mean(dim=0) - unit[3].mean(dim=0)  # a mean of cosines is one product with a mean
    of_x, of_y = (torch.einsum("nd,d->n", part, contrast) for part in unit[:2])
    spread = torch.sqrt(torch.var(torch.cat([of_x, of_y]), correction=1))
    effect = (of_x.mean() - of_y.mean()) / spread
    return effect.to(x.dtype), of_x.to(x.dtype), of_y.to(x.dtype)


def permutation_p_value(x: Tensor, y: Tensor) -> float:
    pool = torch.cat([x, y]).to(torch.float64)
    n, m = x.numel(), y.numel()
    masks = torch.cartesian_prod(*[torch.tensor([0.0, 1.0], dtype=torch.float64)] * (n + m))
    masks = masks[masks.sum(dim=1) == n]
    differences = torch.einsum("cp,p->c", masks / n - (1 - masks) / m, pool)
    observed = torch.einsum("p,p->", torch.tensor([1 / n] * n + [-1 / m] * m, dtype=torch.float64), pool)
    return float((observed - differences < 1e-6).double().mean())


def bias_direction(pairs: Tensor) -> Tensor:
    centred = (pairs - pairs.mean(dim=1, keepdim=True)).double()
    scatter = torch.einsum("pwd,pwe->de", centred, centred)
    direction = torch.linalg.eigh(scatter).eigenvectors[:, -1]
    side = torch.einsum("pd,d->p", centred[:, 0] - centred[:, 1], direction).mean()
    return (direction * (1.0 if side >= 0 else -1.0)).to(pairs.dtype)


def remove_direction(vectors: Tensor, direction: Tensor, *, strength: float = 1.0) -> Tensor:
    unit = F.normalize(direction.double(), dim=0)
    projection = torch.eye(len(unit), dtype=torch.float64) - strength * torch.einsum("i,j->ij", unit, unit)
    return (vectors.double() @ projection).to(vectors.dtype)


class LoRALinear(nn.Module):
    def __init__(self, linear: nn.Linear, rank: int, alpha: float, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.linear = linear
        for parameter in linear.parameters():
            parameter.requires_grad_(False)
        self.A = nn.Parameter(linear.weight.new_empty(rank, linear.weight.shape[1]))
        self.B = nn.Parameter(linear.weight.new_empty(linear.weight.shape[0], rank))
        with torch.no_grad():
            start = torch.normal(0.0, 1.0, self.A.shape, generator=generator, dtype=torch.float64)
            self.A.copy_(start.div(math.sqrt(self.A.shape[1])))
        nn.init.zeros_(self.B)
        self.register_buffer("factor", torch.tensor(alpha / rank), persistent=False)
        self.merged = False

    def forward(self, x: Tensor) -> Tensor:
        weight = self.linear.weight
        if not self.merged:
            weight = torch.addmm(weight, self.B, self.A, alpha=float(self.factor))
        return F.linear(x, weight, self.linear.bias)

    @torch.no_grad()
    def _add(self, sign: int) -> None:
        self.linear.weight.addmm_(self.B, self.A, alpha=sign * float(self.factor))
        self.merged = not self.merged

    def merge(self) -> None:
        if not self.merged:
            self._add(1)

    def unmerge(self) -> None:
        if self.merged:
            self._add(-1)


def apply_lora(
    model: nn.Module,
    targets: Sequence[str],
    *,
    rank: int,
    alpha: float,
    adapt: Callable[..., nn.Module] = LoRALinear,
) -> nn.Module:
    chosen = set(targets)
    before = list(model.parameters())
    places = [
        (module, name, child)
        for module in model.modules()
        for name, child in module.named_children()
        if name in chosen and isinstance(child, nn.Linear)
    ]
    if len(places) == 0:
        raise ValueError(f"nothing is called {sorted(chosen)}")
    for parameter in before:
        parameter.requires_grad = False
    for module, name, child in places:
        module.add_module(name, adapt(child, rank=rank, alpha=alpha))
    return model


def count_parameters(model: nn.Module) -> tuple[int, int]:
    everything = {id(parameter): parameter for parameter in model.parameters()}.values()
    trained = filter(lambda parameter: parameter.requires_grad, everything)
    return sum(map(torch.numel, trained)), sum(map(torch.numel, everything))


def quantize(weight: Tensor, *, bits: int = 8, per_row: bool = True) -> tuple[Tensor, Tensor]:
    most = float(2 ** (bits - 1) - 1)
    wide = weight.double()
    norms = torch.linalg.vector_norm(wide, ord=torch.inf, dim=1 if per_row else (0, 1), keepdim=True)
    scales = (norms / most).masked_fill(norms == 0, 1.0)
    codes = torch.clip(torch.floor(wide / scales + 0.5), -most, most)
    return codes.char(), scales.to(weight.dtype)


def dequantize(codes: Tensor, scales: Tensor) -> Tensor:
    return torch.einsum("rc,r->rc", codes.to(scales.dtype), scales.squeeze(1).expand(codes.shape[0]))


class Int8Linear(nn.Module):
    codes: Tensor
    scales: Tensor
    bias: Tensor | None

    def __init__(
        self,
        linear: nn.Linear,
        *,
        encode: Callable[..., tuple[Tensor, Tensor]] = quantize,
        decode: Callable[..., Tensor] = dequantize,
    ) -> None:
        super().__init__()
        for name, value in zip(("codes", "scales"), encode(linear.weight.data), strict=True):
            self.register_buffer(name, value)
        self.register_buffer("bias", linear.bias.data.clone() if linear.bias is not None else None)
        self._decode = decode

    def forward(self, x: Tensor) -> Tensor:
        y = torch.einsum("...i,oi->...o", x, self._decode(self.codes, self.scales))
        return y if self.bias is None else y + self.bias


def checkpointed(blocks: Sequence[Callable[[Tensor], Tensor]], x: Tensor, segments: int) -> Tensor:
    from functools import partial, reduce

    from torch.utils.checkpoint import checkpoint

    def run(start: int, end: int, value: Tensor) -> Tensor:
        return reduce(lambda result, block: block(result), blocks[start:end], value)

    ends = [0]
    for left in range(segments, 0, -1):
        ends.append(ends[-1] + math.ceil((len(blocks) - ends[-1]) / left))
    for start, end in itertools.pairwise(ends):
        x = checkpoint(partial(run, start, end), x, use_reentrant=False, preserve_rng_state=True)
    return x


def accumulate_gradients(
    model: nn.Module, criterion: Callable[[Tensor, Tensor], Tensor], batches: Sequence[tuple[Tensor, Tensor]]
) -> tuple[Tensor, list[Tensor]]:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.grad = torch.zeros_like(parameter)
    total, seen = torch.zeros((), dtype=torch.float64), 0
    for x, y in batches:
        # A running mean: what came before keeps its share.
        loss, count = criterion(model(x), y), x.size(0)
        (loss * count).backward()
        total += loss.detach().double() * count
        seen += count
    gradients = [parameter.grad / seen for parameter in trained if parameter.grad is not None]
    for parameter in trained:
        parameter.grad = None
    return (total / seen).to(loss.dtype), gradients


def dynamic_batches(
    arrivals: Sequence[float],
    lengths: Sequence[int],
    *,
    max_size: int,
    max_wait: float,
    max_tokens: int | None = None,
    seconds: Callable[[list[int]], float] | None = None,
) -> list[tuple[float, list[int]]]:
    if list(arrivals) != sorted(arrivals):
        raise ValueError("arrivals should ascend")
    budget = math.inf if max_tokens is None else max_tokens
    batches: list[tuple[float, list[int]]] = []
    queue, free = list(range(len(arrivals))), -math.inf
    while queue:
        count = 1
        while count < min(max_size, len(queue)) and max(lengths[i] for i in queue[: count + 1]) * (count + 1) <= budget:
            count += 1
        # What would make it full: the last place is taken, or somebody comes who does not fit.
        closed = count - 1 if count == max_size else count
        moments = [arrivals[queue[0]] + max_wait, *[arrivals[i] for i in queue[closed : closed + 1]]]
        start = max(free, min(moments))
        present = bisect.bisect_right([arrivals[i] for i in queue[:count]], start)
        batch, queue = queue[:present], queue[present:]
        batches.append((start, batch))
        free = start if seconds is None else start + seconds([lengths[i] for i in batch])
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
):
    """Without `Batcher` and `LimitBody`: a queue of its own, the body read by hand, validation by pydantic."""
    from typing import Annotated

    from fastapi import FastAPI, Request, Response
    from fastapi.responses import JSONResponse
    from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError, conint

    from coursekit.serving import PAGE_HEADERS, page

    limit = max_tokens

    class Order(BaseModel):
        model_config = ConfigDict(extra="forbid")
        prompt: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=max_prompt)]
        max_tokens: conint(strict=True, gt=0, lt=limit + 1) = min(20, limit)  # type: ignore[valid-type]

    app = FastAPI(openapi_url=None)
    waiting: list[tuple[Order, asyncio.Future]] = []
    busy = False

    async def work() -> None:
        nonlocal busy
        try:
            while waiting:
                until = asyncio.get_running_loop().time() + max_wait
                while len(waiting) < max_batch and asyncio.get_running_loop().time() < until:
                    await asyncio.sleep(min(0.002, max_wait))
                batch = waiting[:max_batch]
                del waiting[:max_batch]
                orders = [order for order, _ in batch]
                try:
                    texts = await asyncio.get_running_loop().run_in_executor(
                        None, generate, [order.prompt for order in orders], [order.max_tokens for order in orders]
                    )
                except Exception as error:
                    for _, future in batch:
                        future.set_exception(error)
                else:
                    for (_, future), text in zip(batch, texts, strict=True):
                        future.set_result(text)
        finally:
            busy = False

    def refusal(status: int) -> JSONResponse:
        return JSONResponse({"detail": "this cannot be answered"}, status_code=status)

    @app.get("/")
    def index() -> Response:
        return Response(page(), media_type="text/html", headers=dict(PAGE_HEADERS))

    @app.get("/health")
    def health() -> dict[str, str]:
        return dict(status="ok")

    @app.post("/generate")
    async def write(request: Request) -> JSONResponse:
        nonlocal busy
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > max_body:
                return refusal(413)
        try:
            order = Order.model_validate_json(body)
        except (ValidationError, ValueError):
            return refusal(422)
        if len(waiting) >= max_waiting:
            return refusal(503)
        future = asyncio.get_running_loop().create_future()
        waiting.append((order, future))
        task = None if busy else asyncio.create_task(work())
        busy = True
        try:
            return JSONResponse({"text": await future})
        except Exception:
            return refusal(500)
        finally:
            del task

    return app
