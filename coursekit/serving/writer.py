"""A causal language model of `transformers` as the function that an app asks for texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch


def writer(
    model: Any, tokenizer: Any, *, temperature: float = 0.0, seed: int = 0
) -> Callable[[Sequence[str], Sequence[int]], list[str]]:
    """A function that continues several prompts in one call of a model.

    Special tokens that somebody types into a prompt are read as the letters that they consist of: nobody ends a text, or speaks
    as somebody else, by writing `<|endoftext|>`. What is too long for the model loses its beginning.

    Args:
        model: a causal language model.
        tokenizer: its tokenizer, with a token for padding and one that begins and ends a text.
        temperature: of the sampling; 0 always takes the likeliest token.
        seed: where the random numbers begin; they go on from call to call.

    Returns:
        A function write(prompts, max_tokens): for each prompt a text of at most as many tokens as the second list says, up to
        the end of the text if the model comes to it.
    """
    generator = torch.Generator(model.device).manual_seed(seed)
    end = tokenizer.eos_token_id

    @torch.no_grad()
    def write(prompts: Sequence[str], max_tokens: Sequence[int]) -> list[str]:
        room = model.config.max_position_embeddings - max(max_tokens) - 1
        rows = [[end, *tokenizer(text, split_special_tokens=True).input_ids[-room:]] for text in prompts]
        width = max(map(len, rows))
        # On the left, so that all rows end where the model goes on.
        ids = torch.tensor([[tokenizer.pad_token_id] * (width - len(row)) + row for row in rows], device=model.device)
        mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=model.device)
        cache, seen, written = None, ids, []
        for _ in range(max(max_tokens)):
            places = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, -seen.shape[1] :]
            done = model(seen, attention_mask=mask, position_ids=places, past_key_values=cache, use_cache=True)
            cache, scores = done.past_key_values, done.logits[:, -1]
            if temperature:
                seen = torch.multinomial((scores / temperature).softmax(dim=1), 1, generator=generator)
            else:
                seen = scores.argmax(dim=1, keepdim=True)
            written.append(seen)
            mask = torch.cat([mask, torch.ones_like(seen)], dim=1)
            if all(
                end in row or len(row) >= most
                for row, most in zip(torch.cat(written, dim=1).tolist(), max_tokens, strict=True)
            ):
                break
        texts = []
        for row, most in zip(torch.cat(written, dim=1).tolist(), max_tokens, strict=True):
            row = row[:most]
            row = row[: row.index(end)] if end in row else row
            texts.append(tokenizer.decode(row, skip_special_tokens=True))
        return texts

    return write
