"""Train `tiny-diffusion`, the diffusion model that comes with the course, on scikit-learn's handwritten digits.

    python scripts/train_tiny_diffusion.py

The same seed, machine and number of threads give the same weights.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from torch import Tensor
from tqdm import tqdm

from coursekit.data import load_digits

FOLDER = Path(__file__).parents[1] / "coursekit" / "checkpoints" / "tiny-diffusion"
BATCH, RATE, WARMUP, KEPT = 64, 2e-3, 100, 0.998


def main() -> None:
    """Train, measure, save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    scheduler = DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2")
    digits = load_digits("bundled")
    images = as_images(digits.train)
    unet = train(make_unet(digits.height), scheduler, images, options.steps)
    save(DDPMPipeline(unet, scheduler), options.folder)
    report(options.folder, images, as_images(digits.test))


def as_images(pixels: Tensor) -> Tensor:
    """Images (n, 1, 8, 8) from -1, paper, to 1, ink. Two halvings of 8 pixels need no padding."""
    return pixels.unflatten(1, (1, 8, 8)) * 2 - 1


def make_unet(size: int) -> UNet2DModel:
    """A U-Net that works at 8 x 8 and, with attention, at 4 x 4."""
    return UNet2DModel(
        sample_size=size,
        in_channels=1,
        out_channels=1,
        block_out_channels=(32, 64),
        layers_per_block=1,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        attention_head_dim=16,
        dropout=0.05,
    )


def train(unet: UNet2DModel, scheduler: DDPMScheduler, images: Tensor, steps: int) -> UNet2DModel:
    """Learn to tell the noise from the image (Ho et al. 2020); what returns is a moving average of the weights."""
    optimizer = torch.optim.AdamW(unet.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0.01)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARMUP, 0.5 + 0.5 * math.cos(math.pi * step / steps))
    )
    average = {name: weight.detach().clone() for name, weight in unet.state_dict().items()}
    losses = torch.zeros(())
    for step in (bar := tqdm(range(steps), desc="training", mininterval=5)):
        clean = images[torch.randint(len(images), (BATCH,))]
        noise, times = torch.randn_like(clean), torch.randint(1000, (BATCH,))
        with torch.autocast("cpu", torch.bfloat16):
            predicted = unet(scheduler.add_noise(clean, noise, times), times).sample
        loss = F.mse_loss(predicted.float(), noise)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(unet.parameters(), 1.0)
        optimizer.step()
        rate.step()
        kept = min(KEPT, (1 + step) / (10 + step))
        for name, weight in unet.state_dict().items():
            average[name].lerp_(weight, 1 - kept)
        losses = losses.lerp(loss.detach(), 0.02 if step else 1.0)
        bar.set_postfix(loss=f"{losses.item():.4f}", refresh=False)
    unet.load_state_dict(average)
    return unet.eval()


def save(pipeline: DDPMPipeline, folder: Path) -> None:
    """Write the pipeline with weights of half precision, half as large; they are loaded as float32."""
    pipeline.unet.half()
    pipeline.save_pretrained(folder)
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


@torch.inference_mode()
def report(folder: Path, train: Tensor, test: Tensor) -> None:
    """Print what the model card says, and draw a sheet of samples, from the model as it is saved."""
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.svm import SVC

    pipeline = DDPMPipeline.from_pretrained(folder, low_cpu_mem_usage=False)
    pipeline.set_progress_bar_config(disable=True)
    print(f"{sum(p.numel() for p in pipeline.unet.parameters())} parameters, {next(pipeline.unet.parameters()).dtype}")
    for name, images in (("training", train), ("test", test)):
        generator = torch.Generator().manual_seed(1)
        clean = images[torch.randint(len(images), (4096,), generator=generator)]
        noise = torch.randn(clean.shape, generator=generator)
        times = torch.randint(1000, (4096,), generator=generator)
        predicted = pipeline.unet(pipeline.scheduler.add_noise(clean, noise, times), times).sample
        print(f"mean squared error of the noise, {name} images: {F.mse_loss(predicted, noise):.4f}")
    generator = torch.Generator().manual_seed(0)
    drawn = pipeline(200, generator, num_inference_steps=250, output_type="pt").images * 2 - 1
    reader = CalibratedClassifierCV(SVC(), ensemble=False)
    reader.fit(train.flatten(1), load_digits("bundled").train_labels)
    for name, images in (("test images", test), ("samples", drawn)):
        sure = torch.tensor(reader.predict_proba(images.flatten(1)))
        nearest = torch.cdist(images.flatten(1), train.flatten(1)).amin(dim=1).mean()
        print(
            f"{name}: a classifier is sure (90%) of {(sure.amax(dim=1) > 0.9).float().mean():.1%}, "
            f"counts {sure.argmax(dim=1).bincount(minlength=10).tolist()}, "
            f"distance to the nearest training image {nearest:.3f}"
        )
    sheet(drawn[:100], Path(tempfile.gettempdir(), "tiny-diffusion.png"))


def sheet(images: Tensor, path: Path) -> None:
    """Draw 100 images, ten to a row, enlarged."""
    from PIL import Image

    page = F.pad((1 - images) / 2, (1, 1, 1, 1), value=0.5).clamp(0, 1)
    rows = page.unflatten(0, (10, 10)).permute(0, 3, 1, 4, 2).reshape(100, 100)
    page = (rows * 255).to(torch.uint8).repeat_interleave(8, 0).repeat_interleave(8, 1)
    Image.fromarray(page.numpy()).save(path)
    print(f"samples are in {path}")


if __name__ == "__main__":
    main()
