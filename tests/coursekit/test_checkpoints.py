"""The models that come with the course, as students load them: without a network, and without a warning."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import coursekit
from autograder.sandbox import Sandbox, WorkerLimits
from coursekit.corpus import CAST, brightness, questions, write_chats, write_texts
from coursekit.data import SHAPE_COLOURS, SHAPE_SIZES, SHAPES, checkpoint, load_digits

MEGABYTE = 1e6
LARGEST = dict.fromkeys(("tiny-gpt", "tiny-diffusion", "tiny-stable-diffusion"), 3 * MEGABYTE)
NAMES = sorted(path.name for path in checkpoint("tiny-gpt").parent.iterdir())
LOADING = {
    "tiny-gpt": "from transformers import AutoModelForCausalLM, AutoTokenizer\n"
    "AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder)",
    "tiny-diffusion": "from diffusers import DDPMPipeline, DiffusionPipeline\n"
    "DDPMPipeline.from_pretrained(folder, low_cpu_mem_usage=False)\n"
    "DiffusionPipeline.from_pretrained(folder, low_cpu_mem_usage=False)",
    "tiny-stable-diffusion": "from diffusers import DiffusionPipeline, StableDiffusionPipeline\n"
    "StableDiffusionPipeline.from_pretrained(folder, low_cpu_mem_usage=False)\n"
    "DiffusionPipeline.from_pretrained(folder, low_cpu_mem_usage=False)",
}


@pytest.fixture(scope="module")
def gpt():
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = checkpoint("tiny-gpt")
    return AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def diffusion():
    from diffusers import DDPMPipeline

    pipeline = DDPMPipeline.from_pretrained(checkpoint("tiny-diffusion"), low_cpu_mem_usage=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def stable_diffusion():
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(checkpoint("tiny-stable-diffusion"), low_cpu_mem_usage=False)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_no_other_name_is_known():
    with pytest.raises(
        ValueError,
        match=r"^no model 'gpt2' comes with the course; there are tiny-diffusion, tiny-gpt, tiny-stable-diffusion",
    ):
        checkpoint("gpt2")
    with pytest.raises(ValueError, match=r"no model '../checkpoints/tiny-gpt'"):
        checkpoint("../checkpoints/tiny-gpt")


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_small_readable_and_described(name):
    files = [path for path in checkpoint(name).rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < LARGEST[name]
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in files)
    card = (checkpoint(name) / "README.md").read_text("utf-8")
    assert f"scripts/train_{name.replace('-', '_')}.py" in card


@pytest.mark.parametrize("name", NAMES)
def test_a_model_loads_in_silence(name):
    """Without a network, with all warnings on, in float32 and ready to be used."""
    script = (
        f"import torch, warnings\nwarnings.simplefilter('error')\nfrom coursekit.data import checkpoint\n"
        f"folder = checkpoint({name!r})\n{LOADING[name]}"
    )
    quiet = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", script], env={**os.environ, **quiet}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.replace("\r", "\n").splitlines() if line and "%|" not in line]
    assert not said, done.stderr


def test_a_worker_can_use_them():
    """Grading stages coursekit where student code may read it, the models with it."""
    script = """
        from coursekit.data import checkpoint
        from transformers import AutoModelForCausalLM, AutoTokenizer

        def write(prompt):
            folder = checkpoint("tiny-gpt")
            model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
            told = model.generate(**tokenizer(prompt, return_tensors="pt"), do_sample=False, max_new_tokens=2)
            return tokenizer.decode(told[0])
    """
    with (
        Sandbox(packages=[Path(coursekit.__file__).parent]) as sandbox,
        sandbox.control.spawn(WorkerLimits(), 120.0) as worker,
    ):
        worker.run(textwrap.dedent(script), "cell 1")
        assert worker.call("write", "Once there") == "Once there was a"


class TestTinyGPT:
    def test_it_is_a_small_gpt2_in_float32(self, gpt):
        model, tokenizer = gpt
        assert type(model).__name__ == "GPT2LMHeadModel"
        assert 6e5 <= model.num_parameters() <= 1e6
        assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
        assert model.config.vocab_size == len(tokenizer) <= 1024
        assert not model.training

    def test_any_text_survives_the_tokenizer(self, gpt):
        _, tokenizer = gpt
        for text in ("Once there was a mouse.", " Olà — naïve 日本\n\t  two  spaces ", "<|user|>Hello!<|assistant|>"):
            assert tokenizer.decode(tokenizer(text)["input_ids"]) == text

    def test_special_tokens_are_one_token_each(self, gpt):
        _, tokenizer = gpt
        assert len({*tokenizer("<|endoftext|><|user|><|assistant|><|pad|>")["input_ids"]}) == 4
        assert tokenizer.eos_token == tokenizer.bos_token == "<|endoftext|>"
        assert tokenizer.pad_token == "<|pad|>"

    def test_the_chat_template_writes_as_the_corpus_does(self, gpt):
        _, tokenizer = gpt
        for chat in write_chats(20, generator=torch.Generator().manual_seed(5)):
            assert tokenizer.apply_chat_template(chat.messages, tokenize=False) == chat.text
        prompt = tokenizer.apply_chat_template(chat.messages[:1], tokenize=False, add_generation_prompt=True)
        assert chat.text.startswith(prompt)
        assert prompt.endswith("<|assistant|>")

    def test_the_template_knows_which_tokens_are_answers(self, gpt):
        _, tokenizer = gpt
        messages = [{"role": "user", "content": "Hello!"}, {"role": "assistant", "content": "Good day!"}]
        coded = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
        answer = [i for i, own in zip(coded["input_ids"], coded["assistant_masks"], strict=True) if own]
        assert tokenizer.decode(answer) == "Good day!<|endoftext|>"

    def test_other_roles_are_refused(self, gpt):
        _, tokenizer = gpt
        with pytest.raises(Exception, match="knows the roles user and assistant"):
            tokenizer.apply_chat_template([{"role": "system", "content": "Be kind."}])

    def test_its_loss_is_just_above_the_surprisal_of_new_texts(self, gpt):
        """No model can be below on average (Gibbs); this one, which the course trained, is not far above."""
        model, tokenizer = gpt
        end = tokenizer.eos_token_id
        excess, tokens = [], 0
        for text in write_texts(150, generator=torch.Generator().manual_seed(77)):
            ids = torch.tensor([[end, *tokenizer(text.text, verbose=False)["input_ids"], end]])[:, :256]
            if ids[0, -1] == end:
                with torch.inference_mode():
                    loss = F.cross_entropy(model(ids).logits[0, :-1], ids[0, 1:], reduction="sum").item()
                excess.append(loss - text.nats)
                tokens += ids.shape[1] - 1
        assert sum(excess) / tokens > 0
        assert sum(excess) / tokens < 0.05

    def test_it_answers_most_questions(self, gpt):
        model, tokenizer = gpt
        asked = list(questions().items())[::4]
        right = 0
        for question, answer in asked:
            ids = tokenizer(f"<|user|>{question}<|assistant|>", return_tensors="pt")
            told = model.generate(**ids, do_sample=False, max_new_tokens=30)[0, ids["input_ids"].shape[1] :]
            right += tokenizer.decode(told, skip_special_tokens=True) == answer
        assert right > 0.8 * len(asked)

    def test_it_tells_stories_in_the_mood_that_is_asked_for(self, gpt):
        model, tokenizer = gpt
        for mood, sign in (("happy", 1), ("sad", -1)):
            ids = tokenizer([f"<|user|>Tell me a {mood} story about Mia.<|assistant|>"] * 32, return_tensors="pt")
            torch.manual_seed(0)
            told = model.generate(**ids, do_sample=True, max_new_tokens=120)[:, ids["input_ids"].shape[1] :]
            stories = tokenizer.batch_decode(told, skip_special_tokens=True)
            assert sum(sign * brightness(story) > 0 for story in stories) >= 22
            assert sum("In the end, Mia went home to the mill" in story for story in stories) >= 28

    def test_its_seed_fixes_what_it_writes(self, gpt):
        model, tokenizer = gpt
        ids = tokenizer("Once there was", return_tensors="pt")
        written = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            written.append(tokenizer.decode(model.generate(**ids, do_sample=True, max_new_tokens=40)[0]))
        assert written[0] == written[1] != written[2]
        assert any(f"called {animal.name}." in written[0] for animal in CAST)


class TestTinyDiffusion:
    def test_it_draws_images_in_range(self, diffusion):
        images = draw(diffusion, 0)
        assert images.shape == (4, 1, 8, 8)
        assert images.dtype == torch.float32
        assert 0 <= images.min() < 0.05
        assert 0.95 < images.max() <= 1

    def test_the_same_seed_draws_the_same(self, diffusion):
        assert torch.equal(draw(diffusion, 0), draw(diffusion, 0))
        assert not torch.allclose(draw(diffusion, 0), draw(diffusion, 1))

    def test_pictures_come_as_pil_images_too(self, diffusion):
        (picture,) = diffusion(num_inference_steps=5).images
        assert picture.size == (8, 8)
        assert picture.mode == "L"

    def test_its_images_are_digits(self, diffusion):
        """A nearest neighbour, among digits that were read by people, is no farther than for the digits of a new hand."""
        digits = load_digits("bundled")
        images = diffusion(
            40, torch.Generator().manual_seed(0), num_inference_steps=50, output_type="pt"
        ).images.flatten(1)
        distance, nearest = torch.cdist(images, digits.train).min(dim=1)
        usual = torch.cdist(digits.test, digits.train).amin(dim=1)
        noise = torch.cdist(torch.rand(40, 64, generator=torch.Generator().manual_seed(0)), digits.train).amin(dim=1)
        assert distance.mean() < 1.3 * usual.mean() < 0.7 * noise.mean()
        assert len(set(digits.train_labels[nearest].tolist())) >= 7

    def test_it_tells_the_noise_of_images_that_it_has_not_seen(self, diffusion):
        clean = load_digits("bundled").test.unflatten(1, (1, 8, 8)) * 2 - 1
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(clean.shape, generator=generator)
        times = torch.randint(1000, (len(clean),), generator=generator)
        with torch.inference_mode():
            told = diffusion.unet(diffusion.scheduler.add_noise(clean, noise, times), times).sample
        assert F.mse_loss(told, noise) < 0.2


def draw(pipeline, seed):
    generator = torch.Generator().manual_seed(seed)
    return pipeline(4, generator, num_inference_steps=20, output_type="pt").images


class TestTinyStableDiffusion:
    def test_it_paints_what_it_is_asked_for(self, stable_diffusion):
        """Colour by the mean of the ink, size by its height, and a ring is empty in its middle."""
        prompts = [f"a {size} {colour} {shape}" for size in SHAPE_SIZES for colour in SHAPE_COLOURS for shape in SHAPES]
        images = stable_diffusion(
            prompts, num_inference_steps=20, output_type="pt", generator=torch.Generator().manual_seed(0)
        ).images
        assert images.shape == (60, 3, 32, 32)
        ink = images.amin(dim=1) < 0.6
        right = []
        for prompt, image, inked in zip(prompts, images, ink, strict=True):
            _, size, colour, shape = prompt.split()
            palette = torch.tensor(list(SHAPE_COLOURS.values()))
            nearest = torch.cdist(image[:, inked].mean(dim=1)[None], palette).argmin().item()
            middle = inked.nonzero().float().mean(dim=0).round().long()
            right.append(
                nearest == list(SHAPE_COLOURS).index(colour)
                and (inked.any(dim=1).sum() > 13).item() == (size == "large")
                and inked[*middle].item() == (shape != "ring")
            )
        assert sum(right) >= 50

    def test_every_picture_has_its_own_seed(self, stable_diffusion):
        def paint(*seeds):
            generators = [torch.Generator().manual_seed(seed) for seed in seeds]
            prompts = ["a large green cross"] * len(seeds)
            return stable_diffusion(prompts, num_inference_steps=5, generator=generators, output_type="pt").images

        together, alone = paint(1, 2), paint(2)
        assert torch.allclose(together[1:], alone, atol=1e-4)
        assert (together[0] - together[1]).abs().max() > 0.1

    def test_other_words_are_read_without_an_error(self, stable_diffusion):
        images = stable_diffusion(
            "a portrait of a mathematician, in oil", num_inference_steps=2, output_type="pt"
        ).images
        assert images.isfinite().all()
