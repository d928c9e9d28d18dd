"""Train `tiny-stable-diffusion`, the text-to-image pipeline that comes with the course, on coloured shapes.

    python scripts/train_tiny_stable_diffusion.py

First the autoencoder, then the denoiser of its latents together with the text encoder. The same seed, machine and
number of threads give the same weights.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor, nn
from tqdm import tqdm
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from coursekit.data import SHAPE_COLOURS, SHAPE_SIZES, SHAPES, draw_shapes

FOLDER = Path(__file__).parents[1] / "coursekit" / "checkpoints" / "tiny-stable-diffusion"
BATCH, WARMUP, KEPT = 64, 100, 0.998
PICTURES = 16_384  # to train the denoiser on
UNPROMPTED = 0.1  # of them lose their caption, for classifier-free guidance (Ho & Salimans 2022)
CAPTIONS = [f"a {' '.join(words)}" for words in itertools.product(SHAPE_SIZES, SHAPE_COLOURS, SHAPES)]


def main() -> None:
    """Train, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vae-steps", type=int, default=700)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    pipeline = make_pipeline()
    train_autoencoder(pipeline.vae, options.vae_steps)
    train_denoiser(pipeline, options.steps)
    save(pipeline, options.folder)
    report(options.folder)


def make_pipeline() -> StableDiffusionPipeline:
    """The parts of Stable Diffusion (Rombach et al. 2022), small: 32 x 32 pixels, 8 x 8 latents, captions of 16 tokens."""
    tokenizer = train_tokenizer()
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vae = AutoencoderKL(
        sample_size=32,
        latent_channels=4,
        block_out_channels=(16, 32, 32),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        norm_num_groups=8,
        mid_block_add_attention=False,
    )
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=64,
        attention_head_dim=4,  # by a slip of the library's, the number of heads
        norm_num_groups=8,
    )
    scheduler = DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    return StableDiffusionPipeline(
        vae, CLIPTextModel(text), tokenizer, unet, scheduler, None, None, requires_safety_checker=False
    )


def train_tokenizer() -> CLIPTokenizer:
    """CLIP's kind of byte-pair encoding, learnt from the captions."""
    bpe = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    bpe.normalizer = normalizers.Lowercase()
    bpe.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(False)])
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        special_tokens=["<|startoftext|>", "<|endoftext|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    bpe.train_from_iterator(CAPTIONS, trainer)
    learnt = json.loads(bpe.to_str())["model"]
    merges = [tuple(pair) for pair in learnt["merges"]]
    return CLIPTokenizer(vocab=learnt["vocab"], merges=merges, model_max_length=16)


def train_autoencoder(vae: AutoencoderKL, steps: int) -> None:
    """Pictures to latents and back, with a little noise in between; then scale the latents to unit variance."""
    optimizer, rate = descent([vae], 3e-3, steps)
    for _ in (bar := tqdm(range(steps), desc="autoencoder", mininterval=5)):
        pictures = draw_shapes(BATCH)[0] * 2 - 1
        with torch.autocast("cpu", torch.bfloat16):
            posterior = vae.encode(pictures).latent_dist
            drawn = vae.decode(posterior.sample()).sample
        loss = (drawn.float() - pictures).square().mean() + 2e-6 * posterior.kl().mean()
        advance(loss, [vae], optimizer, rate)
        bar.set_postfix(loss=f"{loss.item():.4f}", refresh=False)
    vae.eval().requires_grad_(False)
    with torch.inference_mode():
        latents = vae.encode(draw_shapes(512)[0] * 2 - 1).latent_dist.mean
    vae.register_to_config(scaling_factor=round(1 / latents.std().item(), 4))


def train_denoiser(pipeline: StableDiffusionPipeline, steps: int) -> None:
    """Learn to tell the noise in latents, from the caption; what stays is a moving average of the weights."""
    unet, reader, scheduler = pipeline.unet.train(), pipeline.text_encoder.train(), pipeline.scheduler
    pictures, captions = draw_shapes(PICTURES)
    with torch.inference_mode():
        latents = torch.cat([pipeline.vae.encode(part * 2 - 1).latent_dist.mean for part in pictures.split(256)])
    latents = latents.clone() * pipeline.vae.config.scaling_factor
    ids, blank = encode(pipeline, captions), encode(pipeline, [""])
    optimizer, rate = descent([unet, reader], 2e-3, steps)
    modules = nn.ModuleList([unet, reader])
    average = {name: weight.detach().clone() for name, weight in modules.state_dict().items()}
    smooth = 1.0
    for step in (bar := tqdm(range(steps), desc="denoiser", mininterval=5)):
        chosen = torch.randint(PICTURES, (BATCH,))
        noise, times = torch.randn(BATCH, *latents.shape[1:]), torch.randint(1000, (BATCH,))
        prompts = torch.where(torch.rand(BATCH, 1) < UNPROMPTED, blank, ids[chosen])
        with torch.autocast("cpu", torch.bfloat16):
            told = unet(scheduler.add_noise(latents[chosen], noise, times), times, reader(prompts)[0]).sample
        loss = F.mse_loss(told.float(), noise)
        advance(loss, [unet, reader], optimizer, rate)
        kept = min(KEPT, (1 + step) / (10 + step))
        for name, weight in modules.state_dict().items():
            if weight.is_floating_point():
                average[name].lerp_(weight, 1 - kept)
        smooth += 0.02 * (loss.item() - smooth)
        bar.set_postfix(loss=f"{smooth:.4f}", refresh=False)
    modules.load_state_dict(average)
    modules.eval()


def encode(pipeline: StableDiffusionPipeline, captions: list[str]) -> Tensor:
    """Token ids, padded as the pipeline pads prompts."""
    return pipeline.tokenizer(captions, padding="max_length", return_tensors="pt")["input_ids"]


def descent(
    modules: Iterable[nn.Module], rate: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    """An optimizer whose steps first grow, then shrink to nothing."""
    optimizer = torch.optim.AdamW([p for module in modules for p in module.parameters()], rate, (0.9, 0.99))
    return optimizer, torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARMUP, 0.5 + 0.5 * math.cos(math.pi * step / steps))
    )


def advance(
    loss: Tensor,
    modules: Iterable[nn.Module],
    optimizer: torch.optim.Optimizer,
    rate: torch.optim.lr_scheduler.LRScheduler,
) -> None:
    """One step downhill."""
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_([p for module in modules for p in module.parameters()], 1.0)
    optimizer.step()
    rate.step()


def save(pipeline: StableDiffusionPipeline, folder: Path) -> None:
    """Write the pipeline with weights of half precision, half as large; they are loaded as float32."""
    for module in (pipeline.vae, pipeline.unet, pipeline.text_encoder):
        module.half()
    pipeline.save_pretrained(folder)
    config = folder / "text_encoder" / "config.json"
    config.write_text(config.read_text("utf-8").replace('"float16"', '"float32"'), "utf-8")
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


@torch.inference_mode()
def report(folder: Path) -> None:
    """Print what the model card says, and draw a sheet of samples, from the model as it is saved."""
    pipeline = StableDiffusionPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
    pipeline.set_progress_bar_config(disable=True)
    for part in (pipeline.vae, pipeline.text_encoder, pipeline.unet):
        print(f"{type(part).__name__}: {sum(p.numel() for p in part.parameters())} parameters, {part.dtype}")
    test = draw_shapes(256, generator=torch.Generator().manual_seed(1))[0] * 2 - 1
    error = F.mse_loss(pipeline.vae.decode(pipeline.vae.encode(test).latent_dist.mean).sample, test)
    print(f"autoencoder: mean squared error {error:.5f} of pixels in [-1, 1]")
    for guidance in (1.0, 3.0, 7.5):
        generator = torch.Generator().manual_seed(0)
        drawn = pipeline(
            CAPTIONS, guidance_scale=guidance, num_inference_steps=50, generator=generator, output_type="pt"
        ).images
        found = [[size, colour, shape] for (size, _, shape), colour in zip(seen(drawn), colours(drawn), strict=True)]
        right = torch.tensor(
            [
                [a == b for a, b in zip(c.split()[1:], words, strict=True)]
                for c, words in zip(CAPTIONS, found, strict=True)
            ]
        )
        size, colour, shape = right.float().mean(dim=0).tolist()
        print(
            f"guidance {guidance}: size as asked {size:.0%}, colour {colour:.0%}, shape {shape:.0%}, "
            f"all {right.all(dim=1).float().mean():.0%}"
        )
        sheet(drawn, Path(tempfile.gettempdir(), f"tiny-stable-diffusion-{guidance}.png"))


def seen(images: Tensor) -> list[list[str]]:
    """Size, colour and shape that the caption names of the most similar of many pictures: in grey, colours do not count."""
    known, captions = draw_shapes(20_000, generator=torch.Generator().manual_seed(2))
    nearest = torch.cdist(inked(images).float().flatten(1), inked(known).float().flatten(1)).argmin(dim=1)
    return [captions[i].split()[1:] for i in nearest]


def colours(images: Tensor) -> list[str]:
    """The colour nearest to the mean of the pixels that are not paper."""
    ink = inked(images)[:, None]
    mean = (images * ink).sum(dim=(2, 3)) / ink.sum(dim=(2, 3)).clamp(min=1)
    nearest = torch.cdist(mean, torch.tensor(list(SHAPE_COLOURS.values()))).argmin(dim=1)
    return [list(SHAPE_COLOURS)[i] for i in nearest]


def inked(images: Tensor) -> Tensor:
    """Where a picture is clearly not white."""
    return images.amin(dim=1) < 0.6


def sheet(images: Tensor, path: Path) -> None:
    """Draw the images, ten to a row, enlarged."""
    from PIL import Image

    rows = (
        F.pad(images, (1, 1, 1, 1), value=0.6).unflatten(0, (-1, 10)).permute(0, 3, 1, 4, 2).flatten(2, 3).flatten(0, 1)
    )
    page = (rows * 255).to(torch.uint8).repeat_interleave(3, 0).repeat_interleave(3, 1)
    Image.fromarray(page.numpy()).save(path)
    print(f"samples are in {path}")


if __name__ == "__main__":
    main()
