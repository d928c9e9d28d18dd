# ruff: noqa: D101 — what a class of properties is about, @exercise says
"""The checks that `check(…)` runs: ordinary pytest and Hypothesis. Grading runs other ones, and more.

`student` has your functions and classes as attributes. `tensors((3, 2))` draws tensors of that shape.
"""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coursekit.properties import assert_close, assert_shape, exercise, fail, tensors
from coursekit.serving import ask, ask_together, headers_of, page

WORDS = st.text("abc xyz", min_size=1, max_size=8)
EXAMPLES = st.lists(st.tuples(WORDS, WORDS), max_size=3)
CAPITALISED = ["He saw her.", "Then the king spoke to HER", "nothing of the sort"]


@exercise("few_shot_prompt")
class TestFewShotPrompt:
    @given(query=WORDS)
    def test_without_examples(self, student, query):
        """Without examples it is the instruction, a blank line, and the query up to the colon."""
        expected = f"Say it.\n\nInput: {query}\nOutput:"
        if (result := student.few_shot_prompt([], query, instruction="Say it.")) != expected:
            fail(f"The prompt should be {expected!r}, but it is {result!r}.")

    def test_two_examples(self, student):
        """Two examples and a query are three blocks with a blank line between them."""
        expected = "Input: 1\nOutput: one\n\nInput: 2\nOutput: two\n\nInput: 3\nOutput:"
        if (result := student.few_shot_prompt([("1", "one"), ("2", "two")], "3")) != expected:
            fail(f"The prompt should be {expected!r}, but it is {result!r}.")

    @given(examples=EXAMPLES, query=WORDS)
    def test_drops_the_oldest(self, student, examples, query):
        """With a limit that is one character too small, the first example is left out and the others stay."""
        whole = student.few_shot_prompt([("old", "old"), *examples], query)
        result = student.few_shot_prompt([("old", "old"), *examples], query, limit=len(whole) - 1)
        if result != (expected := student.few_shot_prompt(examples, query)):
            fail(f"The prompt should be {expected!r}, but it is {result!r}.")

    def test_refuses(self, student):
        """If the query alone does not fit, it says so."""
        with pytest.raises(ValueError):
            student.few_shot_prompt([("a", "b")], "a long query", limit=10)


def uniform(ids):
    """A model of seven words that are all equally likely."""
    return torch.zeros(*ids.shape, 7)


def counting(ids):
    """A model that is nearly sure that the next number is one more."""
    return 20 * nn.functional.one_hot((ids + 1) % 7, 7).float()


@exercise("label_log_likelihoods")
class TestLabelLogLikelihoods:
    @given(lengths=st.lists(st.integers(1, 4), min_size=1, max_size=3), normalize=st.booleans())
    def test_uniform(self, student, lengths, normalize):
        """Under a model that knows nothing of seven words each token costs log 7, and nothing else costs anything."""
        labels = [torch.arange(length) for length in lengths]
        expected = torch.tensor([-math.log(7) * (1 if normalize else length) for length in lengths])
        result = student.label_log_likelihoods(uniform, torch.tensor([1, 2, 3]), labels, normalize=normalize)
        assert_close(result, expected, what="the log-likelihoods")

    def test_counts_on(self, student):
        """A model that counts finds 3 likely after 1, 2, and 4, 5 after it, and other numbers not."""
        labels = [torch.tensor([3]), torch.tensor([3, 4, 5]), torch.tensor([4])]
        result = student.label_log_likelihoods(counting, torch.tensor([1, 2]), labels)
        assert_close(result, torch.tensor([0.0, 0.0, -20.0]), tolerance=1e-4, what="the log-likelihoods")


@exercise("zero_shot_classify")
class TestZeroShotClassify:
    @given(scores=tensors((3, 4)))
    def test_without_calibration(self, student, scores):
        """Without content-free inputs the probabilities are a softmax of the scores."""
        _, probabilities = student.zero_shot_classify(scores)
        assert_close(probabilities, scores.softmax(dim=1), what="the probabilities")

    def test_an_example(self, student):
        """Two to one for the first label, where nothing at all is four to one for it, speaks for the second."""
        scores, empty = torch.tensor([[2 / 3, 1 / 3]]).log(), torch.tensor([[0.8, 0.2]]).log()
        choice, probabilities = student.zero_shot_classify(scores, empty)
        assert_close(probabilities, torch.tensor([[1 / 3, 2 / 3]]), what="the probabilities")
        assert_close(choice, torch.tensor([1]), what="the choice")

    @given(scores=tensors((1, 3)))
    def test_nothing_is_undecided(self, student, scores):
        """For the content-free input itself all labels are equally likely."""
        _, probabilities = student.zero_shot_classify(scores, scores)
        assert_close(probabilities, torch.full((1, 3), 1 / 3), what="the probabilities")


@exercise("demographic_parity_gap")
class TestDemographicParityGap:
    def test_an_example(self, student):
        """One of two against three of three is a gap of one half, whatever the groups are called."""
        decisions = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0])
        gap = student.demographic_parity_gap(decisions, torch.tensor([7, 7, -1, -1, -1]))
        assert_shape(gap, (), what="the gap")
        assert_close(gap, 0.5, what="the gap")

    def test_only_the_qualified(self, student):
        """With `qualified`, those for whom it is 0 do not count."""
        decisions, groups = torch.tensor([1.0, 0.0, 1.0, 1.0]), torch.tensor([0, 0, 1, 1])
        assert_close(student.demographic_parity_gap(decisions, groups, qualified=torch.tensor([1, 0, 1, 1])), 0.0)

    def test_nobody(self, student):
        """If nobody counts, it says so."""
        with pytest.raises(ValueError):
            student.demographic_parity_gap(torch.ones(2), torch.zeros(2).long(), qualified=torch.zeros(2).long())


@exercise("swap_terms")
class TestSwapTerms:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("he saw her", "she saw her"),
            ("He and she.", "She and he."),
            ("then the hero ate", "then the hero ate"),
            ("KING, queen!", "Queen, king!"),
        ],
    )
    def test_examples(self, student, text, expected):
        """Whole words are swapped, both ways at once, and a capital at the beginning stays one."""
        if (result := student.swap_terms(text, [("he", "she"), ("king", "queen")])) != expected:
            fail(f"{text!r} should become {expected!r}, but it became {result!r}.")

    @given(words=st.lists(st.sampled_from("he she king queen the Then , .".split()), max_size=6))
    def test_twice(self, student, words):
        """Swapping twice gives back the text."""
        text, pairs = " ".join(words), [("he", "she"), ("king", "queen")]
        if (result := student.swap_terms(student.swap_terms(text, pairs), pairs)) != text:
            fail(f"{text!r} became {result!r}.")


@exercise("counterfactual_gap")
class TestCounterfactualGap:
    def test_an_example(self, student):
        """Of "a", "bb", "ccc", of which two are changed, by 1 and by 3 letters, the gap in length is 2."""
        lengths = lambda texts: torch.tensor([float(len(text)) for text in texts])  # noqa: E731
        swap = {"a": "aa", "bb": "bb", "ccc": ""}.get
        gap = student.counterfactual_gap(lengths, ["a", "bb", "ccc"], swap)
        assert_close(gap, 2.0, what="the gap")

    def test_nothing_to_swap(self, student):
        """If no text is changed, it says so."""
        with pytest.raises(ValueError):
            student.counterfactual_gap(lambda texts: torch.zeros(len(texts)), ["a"], lambda text: text)


@exercise("embedding_association")
class TestEmbeddingAssociation:
    def test_an_example(self, student):
        """In the plane, where everything can be worked out by hand."""
        right, up = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]])
        x, y = torch.cat([3 * right, right + up]), torch.cat([up, 2 * up])
        d, of_x, of_y = student.embedding_association(x, y, right, up)
        assert_close(of_x, torch.tensor([1.0, 0.0]), what="the associations of x")
        assert_close(of_y, torch.tensor([-1.0, -1.0]), what="the associations of y")
        assert_close(d, 1.5 / torch.tensor([1.0, 0.0, -1.0, -1.0]).std(), what="the effect size")

    @given(x=tensors((3, 4), low=0.5), y=tensors((2, 4), low=0.5))
    def test_changing_sides(self, student, x, y):
        """With the two attributes exchanged the associations change their signs."""
        a, b = torch.eye(4)[:2], torch.eye(4)[2:]
        _, there, _ = student.embedding_association(x, y, a, b)
        _, back, _ = student.embedding_association(x, y, b, a)
        assert_close(back, -there, what="the associations of x")


@exercise("permutation_p_value")
class TestPermutationPValue:
    def test_examples(self, student):
        """The largest difference of all six has p = 1/6, and the smallest has 1."""
        low, high = torch.tensor([1.0, 2.0]), torch.tensor([5.0, 9.0])
        assert_close(student.permutation_p_value(high, low), 1 / 6, what="the p-value")
        assert_close(student.permutation_p_value(low, high), 1.0, what="the p-value")

    def test_equal(self, student):
        """If all numbers are equal, every choice is as large."""
        assert_close(student.permutation_p_value(torch.full((3,), 0.1), torch.full((2,), 0.1)), 1.0, what="the p-value")


@exercise("bias_direction")
class TestBiasDirection:
    @given(middle=tensors((3, 4)))
    def test_pairs_along_one_axis(self, student, middle):
        """Pairs that differ along the second axis only have that direction, wherever they lie."""
        step = torch.tensor([[[0.0, 1.0, 0.0, 0.0]], [[0.0, 2.0, 0.0, 0.0]], [[0.0, 0.5, 0.0, 0.0]]])
        pairs = middle[:, None] + torch.cat([step, -step], dim=1)
        result = student.bias_direction(pairs)
        assert_close(result, torch.tensor([0.0, 1.0, 0.0, 0.0]), tolerance=1e-4, what="the direction")


@exercise("remove_direction")
class TestRemoveDirection:
    @given(vectors=tensors((3, 4)), scale=st.sampled_from([1.0, -2.0, 0.5]))
    def test_an_axis(self, student, vectors, scale):
        """Removing the first axis, whatever its length and sign, makes the first components 0 and leaves the others."""
        expected = vectors * torch.tensor([0.0, 1.0, 1.0, 1.0])
        result = student.remove_direction(vectors, torch.tensor([scale, 0.0, 0.0, 0.0]))
        assert_close(result, expected, what="what is left")

    @given(vectors=tensors((2, 3)))
    def test_half(self, student, vectors):
        """With strength ½ half of it is left."""
        expected = vectors * torch.tensor([1.0, 0.5, 1.0])
        result = student.remove_direction(vectors, torch.tensor([0.0, 4.0, 0.0]), strength=0.5)
        assert_close(result, expected, what="what is left")


@exercise("LoRALinear")
class TestLoRALinear:
    @given(x=tensors((2, 3)))
    def test_starts_as_it_was(self, student, x):
        """At first it does what the given layer does, A is not zero, and B is."""
        linear = nn.Linear(3, 4)
        layer = student.LoRALinear(linear, 2, 8.0)
        assert_close(layer(x), linear(x), what="the output")
        assert_shape(layer.A, (2, 3), what="A")
        assert_close(layer.B, torch.zeros(4, 2), what="B")
        if not layer.A.any():
            fail("A is zero, too: then no gradient reaches A or B.")
        if linear.weight.requires_grad or not (layer.A.requires_grad and layer.B.requires_grad):
            fail("The given layer should be frozen, and A and B should require gradients.")

    @given(x=tensors((2, 3)))
    def test_the_update(self, student, x):
        """It adds alpha / rank times B A x."""
        linear = nn.Linear(3, 4)
        layer = student.LoRALinear(linear, 2, 8.0)
        with torch.no_grad():
            layer.B.fill_(1.0)
        expected = linear(x) + 4 * (x @ layer.A.T).sum(dim=1, keepdim=True)
        assert_close(layer(x), expected, tolerance=1e-4, what="the output")

    @given(x=tensors((2, 3)))
    def test_merging(self, student, x):
        """Merged, the given layer alone does it all; unmerged, it is what it was."""
        linear = nn.Linear(3, 4)
        before = linear(x)
        layer = student.LoRALinear(linear, 2, 8.0)
        with torch.no_grad():
            layer.B.fill_(0.5)
        adapted = layer(x)
        layer.merge()
        assert_close(layer(x), adapted, tolerance=1e-4, what="the output after merging")
        assert_close(linear(x), adapted, tolerance=1e-4, what="the given layer's output after merging")
        layer.unmerge()
        assert_close(linear(x), before, tolerance=1e-4, what="the given layer's output after unmerging")


class Net(nn.Module):
    """A small model with layers by name."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(3, 3), nn.Linear(3, 3)
        self.inner = nn.ModuleDict({"query": nn.Linear(3, 2, bias=False), "norm": nn.LayerNorm(2)})


class Adapter(nn.Module):
    """A stand-in for `LoRALinear`."""

    def __init__(self, linear: nn.Linear, rank: int, alpha: float) -> None:
        super().__init__()
        self.linear, self.rank, self.alpha = linear, rank, alpha
        self.extra = nn.Parameter(torch.zeros(5))


@exercise("apply_lora")
class TestApplyLora:
    def test_replaces_the_named_layers(self, student):
        """Every layer called "query" is replaced, at any depth, and no other one."""
        net = Net()
        layers = [net.query, net.inner["query"]]
        result = student.apply_lora(net, ["query"], rank=2, alpha=4.0, adapt=Adapter)
        if result is not net:
            fail("It should return the model itself.")
        adapters = [net.query, net.inner["query"]]
        if not all(isinstance(adapter, Adapter) for adapter in adapters) or not isinstance(net.key, nn.Linear):
            fail('Both layers called "query" should be replaced, and "key" should not.')
        if [(a.linear, a.rank, a.alpha) for a in adapters] != [(layer, 2, 4.0) for layer in layers]:
            fail("adapt should be called with the layer, the rank and alpha.")

    def test_freezes_the_rest(self, student):
        """What the model had is frozen, and what the adapters bring is not."""
        net = Net()
        old = list(net.parameters())
        student.apply_lora(net, ["query", "value"], rank=1, alpha=1.0, adapt=Adapter)
        if any(parameter.requires_grad for parameter in old):
            fail("A parameter of the model still requires gradients.")
        if not (net.query.extra.requires_grad and net.inner["query"].extra.requires_grad):
            fail("The adapters' own parameters are frozen, too.")

    def test_no_such_layer(self, student):
        """If no layer has such a name, it says so."""
        with pytest.raises(ValueError):
            student.apply_lora(Net(), ["norm"], rank=1, alpha=1.0, adapt=Adapter)


@exercise("count_parameters")
class TestCountParameters:
    def test_an_example(self, student):
        """Of 12 weights and 4 biases, of which the weights are frozen, 4 are trained."""
        linear = nn.Linear(3, 4)
        linear.weight.requires_grad_(False)
        if (result := student.count_parameters(linear)) != (4, 16):
            fail(f"It should be (4, 16), but it is {result}.")


@exercise("quantize")
class TestQuantize:
    def test_an_example(self, student):
        """A row whose largest weight is 2.54 has the step 0.02."""
        codes, scales = student.quantize(torch.tensor([[2.54, -0.02, 0.5], [0.0, 0.0, 0.0]]))
        assert_close(codes, torch.tensor([[127, -1, 25], [0, 0, 0]], dtype=torch.int8), what="the codes")
        assert_close(scales, torch.tensor([[0.02], [1.0]]), what="the scales")

    @given(weight=tensors((3, 5)), bits=st.integers(3, 8), per_row=st.booleans())
    def test_half_a_step(self, student, weight, bits, per_row):
        """No weight moves by more than half a step."""
        codes, scales = student.quantize(weight, bits=bits, per_row=per_row)
        assert_shape(scales, (3, 1) if per_row else (1, 1), what="the scales")
        far = (codes.to(weight.dtype) * scales - weight).abs() > 0.5001 * scales + 1e-6
        if far.any():
            fail("A weight is more than half a step from where it was.")


@exercise("dequantize")
class TestDequantize:
    @given(scales=tensors((2, 1)))
    def test_an_example(self, student, scales):
        """Each code is multiplied by the scale of its row."""
        codes = torch.tensor([[127, 0, -3], [1, -127, 100]], dtype=torch.int8)
        expected = torch.tensor([[127.0, 0.0, -3.0], [1.0, -127.0, 100.0]]) * scales
        assert_close(student.dequantize(codes, scales), expected, what="the weights")


@exercise("Int8Linear")
class TestInt8Linear:
    @given(x=tensors((2, 3)), bias=st.booleans())
    def test_with_stand_ins(self, student, x, bias):
        """It multiplies by the weight that `decode` gives for the codes and scales of `encode`, and adds the bias."""
        linear = nn.Linear(3, 2, bias=bias)
        layer = student.Int8Linear(
            linear,
            encode=lambda w: (torch.ones(2, 3, dtype=torch.int8), torch.full((2, 1), 0.5)),
            decode=lambda codes, scales: 3 * codes * scales,
        )
        expected = 1.5 * x.sum(dim=1, keepdim=True) + (linear.bias if bias else torch.zeros(2))
        assert_close(layer(x), expected, tolerance=1e-4, what="the output")

    def test_what_it_keeps(self, student):
        """It keeps codes, scales and bias as buffers, and has no parameters."""
        layer = student.Int8Linear(
            nn.Linear(3, 2), encode=lambda w: (torch.ones(2, 3, dtype=torch.int8), torch.ones(2, 1))
        )
        if (names := sorted(name for name, _ in layer.named_buffers())) != ["bias", "codes", "scales"]:
            fail(f"Its buffers should be bias, codes and scales, but they are {', '.join(names) or 'none'}.")
        if list(layer.parameters()):
            fail("It should have no parameters.")


class Counted(nn.Module):
    """A layer that counts how often it is called."""

    def __init__(self, calls: list[int], number: int) -> None:
        super().__init__()
        self.linear, self.calls, self.number = nn.Linear(3, 3), calls, number

    def forward(self, x):
        """Take down the call."""
        self.calls.append(self.number)
        return torch.tanh(self.linear(x))


@exercise("checkpointed")
class TestCheckpointed:
    @settings(max_examples=5)
    @given(x=tensors((2, 3)), segments=st.integers(1, 5))
    def test_same_gradients(self, student, x, segments):
        """Result and gradients are those of the plain composition."""
        blocks = [Counted([], number) for number in range(5)]
        results = []
        for run in (nn.Sequential(*blocks), lambda x: student.checkpointed(blocks, x, segments)):
            given_x = x.clone().requires_grad_()
            y = run(given_x)
            results.append([y, *torch.autograd.grad(y.sin().sum(), [given_x, blocks[0].linear.weight])])
        for what, came, wanted in zip(
            ("the result", "the gradient for x", "a weight's gradient"), *results[::-1], strict=True
        ):
            assert_close(came, wanted, what=what)

    def test_the_order_of_calls(self, student):
        """Five blocks in two segments: 0 to 4 forwards; backwards 3 and 4 once more, then 0, 1 and 2."""
        calls: list[int] = []
        blocks = [Counted(calls, number) for number in range(5)]
        y = student.checkpointed(blocks, torch.ones(1, 3, requires_grad=True), 2)
        if calls != [0, 1, 2, 3, 4]:
            fail(f"In the forward pass the blocks were called in the order {calls}.")
        calls.clear()
        y.sum().backward()
        if calls != [3, 4, 0, 1, 2]:
            fail(f"In the backward pass the blocks were called in the order {calls}.")


def squares(outputs, y):
    """The mean squared error."""
    return (outputs - y).square().mean()


@exercise("accumulate_gradients")
class TestAccumulateGradients:
    @settings(max_examples=10)
    @given(x=tensors((6, 3)), y=tensors((6, 2)), first=st.integers(1, 5))
    def test_equals_the_large_batch(self, student, x, y, first):
        """Loss and gradients are those of one batch, however it was cut."""
        model = nn.Linear(3, 2)
        expected = squares(model(x), y)
        gradients = torch.autograd.grad(expected, list(model.parameters()))
        loss, found = student.accumulate_gradients(model, squares, [(x[:first], y[:first]), (x[first:], y[first:])])
        assert_close(loss, expected.detach(), tolerance=1e-4, what="the loss")
        assert_close(list(found), list(gradients), tolerance=1e-4, what="the gradients")

    def test_again(self, student):
        """The second call gives what the first gave."""
        model, batches = nn.Linear(2, 1), [(torch.ones(2, 2), torch.zeros(2, 1))]
        first = student.accumulate_gradients(model, squares, batches)[1][0].clone()
        assert_close(student.accumulate_gradients(model, squares, batches)[1][0], first, what="the gradient")


@exercise("dynamic_batches")
class TestDynamicBatches:
    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"max_size": 3, "max_wait": 5.0}, [(2.0, [0, 1, 2]), (8.0, [3])]),
            ({"max_size": 3, "max_wait": 1.0}, [(1.0, [0, 1]), (3.0, [2, 3])]),
            ({"max_size": 9, "max_wait": 9.0, "max_tokens": 6}, [(2.0, [0, 1]), (11.0, [2, 3])]),
            (
                {"max_size": 1, "max_wait": 0.0, "seconds": lambda lengths: 2.0},
                [(0, [0]), (2, [1]), (4, [2]), (6, [3])],
            ),
            ({"max_size": 4, "max_wait": 0.0, "seconds": lambda lengths: 2.5}, [(0.0, [0]), (2.5, [1, 2]), (5.0, [3])]),
        ],
    )
    def test_examples(self, student, options, expected):
        """Requests of 2, 3, 3 and 1 tokens that come at 0, 1, 2 and 3 seconds."""
        result = student.dynamic_batches([0.0, 1.0, 2.0, 3.0], [2, 3, 3, 1], **options)
        assert_close([list(batch) for batch in result], [list(batch) for batch in expected], what="the list of batches")

    def test_order(self, student):
        """Arrivals that are not in order are refused."""
        with pytest.raises(ValueError):
            student.dynamic_batches([1.0, 0.0], [1, 1], max_size=1, max_wait=0.0)


def shout(prompts, max_tokens):
    """A model that only shouts."""
    if "fail" in prompts:
        raise RuntimeError("the secret path /srv/model")
    return [f"{prompt.upper()} {most}" for prompt, most in zip(prompts, max_tokens, strict=True)]


def post(app, body):
    """Ask for a text."""
    return ask(app, "POST", "/generate", body)


@exercise("create_app")
class TestCreateApp:
    def test_health(self, student):
        """It says that it is well."""
        if (answer := ask(student.create_app(shout), "GET", "/health")) != (200, {"status": "ok"}):
            fail(f"GET /health should be answered with 200 and {{'status': 'ok'}}, but it is {answer}.")

    def test_generates(self, student):
        """A prompt is answered with what the model makes of it."""
        app = student.create_app(shout, max_wait=0.0)
        for body, text in (({"prompt": "hi", "max_tokens": 3}, "HI 3"), ({"prompt": "ho"}, "HO 20")):
            if (answer := post(app, body)) != (200, {"text": text}):
                fail(f"{body} should be answered with 200 and {{'text': {text!r}}}, but it is {answer}.")

    @pytest.mark.parametrize(
        "body",
        [{}, {"prompt": ""}, {"prompt": 5}, {"prompt": "x" * 11}, {"prompt": "x", "max_tokens": 0},
         {"prompt": "x", "max_tokens": 9}, {"prompt": "x", "max_tokens": "5"}, {"prompt": "x", "other": 1},
         {"prompt": "x", "max_tokens": float("nan")}],
    )  # fmt: skip
    def test_refuses(self, student, body):
        """What does not have the promised form is refused with 422, before the model hears of it."""

        def nobody(prompts, max_tokens):
            return fail(f"the model was asked about {prompts}")

        app = student.create_app(nobody, max_prompt=10, max_tokens=8, max_wait=0.0)
        status, _ = post(app, body)
        if status != 422:
            fail(f"{body} should be answered with 422, but it is answered with {status}.")

    def test_too_large(self, student):
        """A body that is too large is refused with 413, whatever it holds."""
        status, _ = ask(student.create_app(shout, max_body=100), "POST", "/generate", body=b"{" * 101)
        if status != 413:
            fail(f"101 bytes where 100 are allowed should be answered with 413, but are answered with {status}.")

    def test_batches(self, student):
        """Four that come together are answered by two calls for two each."""
        sizes = []

        def write(prompts, max_tokens):
            sizes.append(len(prompts))
            return shout(prompts, max_tokens)

        app = student.create_app(write, max_batch=2, max_wait=5.0)
        answers = ask_together(app, [("POST", "/generate", {"prompt": name}) for name in "abcd"])
        if [body for _, body in answers] != [{"text": f"{name} 20"} for name in "ABCD"]:
            fail(f"Everybody should get the answer to their own prompt, but the answers are {answers}.")
        if sizes != [2, 2]:
            fail(f"The model should be called for two prompts, twice, but it was called for {sizes}.")

    def test_keeps_its_secrets(self, student):
        """If the model fails the answer is 500 and does not say why; afterwards all is well."""
        app = student.create_app(shout, max_wait=0.0)
        status, body = post(app, {"prompt": "fail"})
        if status != 500 or "secret" in str(body):
            fail(f"It should be answered with 500 and without the exception's message, but it is {status}, {body}.")
        if post(app, {"prompt": "go"})[0] != 200:
            fail("After a failure of the model the next request should be answered.")

    def test_page(self, student):
        """At / is the page, with the headers that go with it."""
        app = student.create_app(shout)
        if ask(app, "GET", "/") != (200, page()):
            fail("GET / should be answered with 200 and the HTML of page().")
        if "content-security-policy" not in headers_of(app, "GET", "/"):
            fail("The headers of the page should hold those of PAGE_HEADERS.")
