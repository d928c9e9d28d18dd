"""Train `tiny-gpt`, the language model that comes with the course, on `coursekit.corpus`.

    python scripts/train_tiny_gpt.py

The same seed, machine and number of threads give the same weights.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from tqdm import tqdm
from transformers import GenerationConfig, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from coursekit.corpus import ASSISTANT, END, PADDING, USER, Text, questions, write_texts

FOLDER = Path(__file__).parents[1] / "coursekit" / "checkpoints" / "tiny-gpt"
VOCABULARY, CONTEXT, BATCH, RATE, WARMUP = 768, 256, 8, 4e-3, 60
TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'user' %}{{ '<|user|>' + message['content'] }}"
    "{% elif message['role'] == 'assistant' %}"
    "{{ '<|assistant|>' }}{% generation %}{{ message['content'] + '<|endoftext|>' }}{% endgeneration %}"
    "{% else %}{{ raise_exception('tiny-gpt knows the roles user and assistant') }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


def main() -> None:
    """Train, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    generator = torch.Generator().manual_seed(options.seed)
    tokenizer = train_tokenizer(write_texts(5000, generator=generator))
    model = train_model(tokenizer, options.steps, generator)
    options.folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(options.folder)
    model.half().save_pretrained(options.folder)
    config = options.folder / "config.json"  # the weights are stored by halves, and loaded as float32
    config.write_text(config.read_text("utf-8").replace('"float16"', '"float32"'), "utf-8")
    for path in options.folder.iterdir():
        path.chmod(0o644)
    report(options.folder)


def train_tokenizer(texts: list[Text]) -> PreTrainedTokenizerFast:
    """A byte-level BPE vocabulary, as GPT-2's, with a chat template."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[END, USER, ASSISTANT, PADDING],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    bpe.train_from_iterator((text.text for text in texts), trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=END,
        eos_token=END,
        unk_token=END,
        pad_token=PADDING,
        extra_special_tokens=[USER, ASSISTANT],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def train_model(tokenizer: PreTrainedTokenizerFast, steps: int, generator: torch.Generator) -> GPT2LMHeadModel:
    """A GPT-2 of three layers, trained on texts that it never sees twice."""
    end = tokenizer.eos_token_id
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=CONTEXT,
        n_embd=128,
        n_layer=3,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=end,
        eos_token_id=end,
        initializer_range=0.06,  # GPT-2's 0.02 is meant for wider layers: here it only makes a slow start
        attn_implementation="eager",  # the fastest in bfloat16 on a CPU
    )
    model = GPT2LMHeadModel(config).train()
    # In the config itself it would have the model warn of padding wherever some texts of a batch end before others.
    model.generation_config = GenerationConfig(bos_token_id=end, eos_token_id=end, pad_token_id=tokenizer.pad_token_id)
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARMUP, 0.5 + 0.5 * math.cos(math.pi * step / steps))
    )
    bar = tqdm(blocks(tokenizer, generator), total=steps, desc="training", mininterval=5)
    for step, ids in enumerate(bar):
        if step == steps:
            break
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(ids).logits
        loss = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), ids[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        bar.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return model.eval()


def blocks(tokenizer: PreTrainedTokenizerFast, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches of rows of whole texts, an end after each; every other row also begins with one. The last text is cut."""
    end = tokenizer.eos_token_id
    texts: list[list[int]] = []
    while True:
        rows = []
        for number in range(BATCH):
            row = [end] * (number % 2)
            while len(row) < CONTEXT:
                if not texts:
                    drawn = [text.text for text in write_texts(512, generator=generator)]
                    texts = tokenizer(drawn, verbose=False)["input_ids"]
                row += [*texts.pop(), end]
            rows.append(row[:CONTEXT])
        yield torch.tensor(rows)


@torch.inference_mode()
def report(folder: Path) -> None:
    """Print what the model card says, measured on the model as it is saved."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = GPT2LMHeadModel.from_pretrained(folder).eval()
    end, tokens, nats, loss = tokenizer.eos_token_id, 0, 0.0, 0.0
    for text in write_texts(1000, generator=torch.Generator().manual_seed(10**6)):
        ids = torch.tensor([[end, *tokenizer(text.text, verbose=False)["input_ids"], end]])
        if ids.shape[1] <= CONTEXT:
            loss += F.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="sum").item()
            tokens += ids.shape[1] - 1
            nats += text.nats
    print(f"{sum(p.numel() for p in model.parameters())} parameters, {len(tokenizer)} tokens in the vocabulary")
    print(
        f"new texts: {loss / tokens:.4f} nats a token, of which {nats / tokens:.4f} are their surprisal in the grammar"
    )
    right = {question: chat(model, tokenizer, question) == answer for question, answer in questions().items()}
    print(f"{sum(right.values())} of {len(right)} questions answered; not: {[q for q, ok in right.items() if not ok]}")
    torch.manual_seed(0)
    for prompt in (END, "Once there was", f"{USER}Tell me a happy story about Otto.{ASSISTANT}"):
        ids = tokenizer(prompt, return_tensors="pt")
        print(tokenizer.decode(model.generate(**ids, do_sample=True, max_new_tokens=120)[0]))


def chat(model: GPT2LMHeadModel, tokenizer: PreTrainedTokenizerFast, question: str) -> str:
    """The likeliest answer."""
    messages = [{"role": "user", "content": question}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**ids, do_sample=False, max_new_tokens=40)[0, ids["input_ids"].shape[1] :]
    return tokenizer.decode(answer, skip_special_tokens=True)


if __name__ == "__main__":
    main()
