"""What the container serves: a small language model behind the `create_app` that you wrote."""

from answer import create_app
from transformers import AutoModelForCausalLM, AutoTokenizer

from coursekit import data
from coursekit.serving import writer

folder = data.checkpoint("tiny-gpt")  # or the name of a model on a hub, which is then loaded when the image is built
model = AutoModelForCausalLM.from_pretrained(folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)

app = create_app(writer(model, tokenizer, temperature=0.8), max_prompt=500, max_tokens=100)
