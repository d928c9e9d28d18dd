"""Known mistakes in `autoregressive`."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from autograder.mistakes import edited, mistake
from solutions import autoregressive as reference

# ---- fit_markov_chain

chain_across_borders = edited(
    reference.fit_markov_chain,
    {
        "windows = [": "tokens = tokens.reshape(1, -1)\n    windows = [",
    },
    says="The end of one sequence is counted as the context of the next one's beginning: the batch is read as one text.",
)
chain_of_first_order_only = edited(
    reference.fit_markov_chain,
    {
        "windows = [": "first = min(order, 1)\n    windows = [",
        "tokens.shape[1] - order + i)] for i in range(order + 1)]": "tokens.shape[1] - first + i)] for i in range(first + 1)]",
        "states ** (order - i)": "states ** (first - i)",
        "minlength=states ** (order + 1)": "minlength=states ** (first + 1)",
        "counts.view((states,) * (order + 1))": "counts.view((states,) * (first + 1)).expand((states,) * (order + 1))",
    },
    says="However long the context should be, only the last token of it counts.",
)
chain_with_the_context_backwards = edited(
    reference.fit_markov_chain,
    {"states ** (order - i)": "states ** ((i + 1) % (order + 1))"},
    says="From order 2 on the context is indexed backwards: its first token belongs to the first dimension.",
)
chain_normalised_over_contexts = edited(
    reference.fit_markov_chain,
    {"weights.sum(dim=-1, keepdim=True)": "weights.sum(dim=0, keepdim=True)"},
    says="The probabilities of what follows a context do not add up to 1: the counts are divided along a wrong dimension.",
)
chain_with_smoothing_above_only = edited(
    reference.fit_markov_chain,
    {
        "total = weights.sum(dim=-1, keepdim=True)": "total = counts.view(weights.shape).sum(dim=-1, keepdim=True)",
    },
    says="With smoothing the probabilities add up to more than 1: what is added to every count belongs into the total, too.",
)
chain_with_smoothing_once_in_the_total = edited(
    reference.fit_markov_chain,
    {
        "weights.sum(dim=-1, keepdim=True)": "counts.view(weights.shape).sum(dim=-1, keepdim=True) + smoothing",
    },
    says="With smoothing the probabilities add up to more than 1: the total grows once for each of the states.",
)
chain_without_smoothing = edited(
    reference.fit_markov_chain,
    {".float() + smoothing": ".float()"},
    says="Smoothing changes nothing.",
)
chain_that_is_nan_where_nothing_was_seen = edited(
    reference.fit_markov_chain,
    {"torch.where(total > 0, weights / total, 1 / states)": "weights / total"},
    says="A context that was never seen gives NaN: 0 is divided by 0.",
)
chain_that_is_zero_where_nothing_was_seen = edited(
    reference.fit_markov_chain,
    {"torch.where(total > 0, weights / total, 1 / states)": "weights / total.clamp(min=1e-8)"},
    says="After a context that was never seen nothing at all may follow: its probabilities add up to 0.",
)
chain_of_counts = edited(
    reference.fit_markov_chain,
    {"torch.where(total > 0, weights / total, 1 / states)": "torch.where(total > 0, weights, 1 / states)"},
    says="The result are counts: they have to become probabilities.",
)


# ---- sequence_log_likelihood

likelihood_per_token = edited(
    reference.sequence_log_likelihood,
    {".log().sum(dim=1)": ".log().mean(dim=1)"},
    says="Every value is too small by the length of the sequence: a mean stands where a sum was asked for.",
)
likelihood_by_a_product = edited(
    reference.sequence_log_likelihood,
    {".log().sum(dim=1)": ".prod(dim=1).log()"},
    says="Long sequences are impossible: the product of many probabilities is too small for a float, its logarithm is not.",
)
likelihood_in_bits = edited(
    reference.sequence_log_likelihood,
    {"].log().sum(dim=1)": "].log2().sum(dim=1)", "].log()\n": "].log2()\n"},
    says="Every value is 1.44 times what it should be: it is in bits, and was asked for in nats.",
)
likelihood_of_the_beginning_without_log = edited(
    reference.sequence_log_likelihood,
    {"initial[tuple(tokens[:, :order].T)].log()": "initial[tuple(tokens[:, :order].T)]"},
    says="The probability of the first tokens is added as it is: it is its logarithm that belongs into the sum.",
)
likelihood_without_the_beginning = edited(
    reference.sequence_log_likelihood,
    {" if initial is None else total + initial[tuple(tokens[:, :order].T)].log()": ""},
    says="What the first tokens cost is left out, although their probabilities are given.",
)
likelihood_read_backwards = edited(
    reference.sequence_log_likelihood,
    {"transitions[tuple(windows)]": "transitions[tuple(windows[::-1])]"},
    says="The table is read the wrong way round: the context comes first, what follows it last.",
)
likelihood_with_an_epsilon = edited(
    reference.sequence_log_likelihood,
    {"transitions[tuple(windows)].log()": "(transitions[tuple(windows)] + 1e-2).log()"},
    says="What the chain cannot produce has a finite price: a small number is added inside the logarithm.",
)
likelihood_of_the_whole_batch = edited(
    reference.sequence_log_likelihood,
    {".log().sum(dim=1)": ".log().sum()"},
    says="One number came for the whole batch: the sum has to keep the batch dimension.",
)
likelihood_with_the_sign_flipped = edited(
    reference.sequence_log_likelihood,
    {
        "return total if initial is None else total +": "total = -total\n    return total if initial is None else total -"
    },
    says="The sign is flipped: the logarithm of a probability is never positive.",
)


# ---- stationary_distribution


@mistake(
    "stationary_distribution",
    says="All states are equally likely: this is the eigenvector on the other side of the matrix, which is constant.",
)
def stationary_on_the_other_side(transitions: Tensor) -> Tensor:
    values, vectors = torch.linalg.eig(transitions)
    found = vectors[:, (values - 1).abs().argmin()].real.abs()
    return found / found.sum()


@mistake(
    "stationary_distribution",
    says="A chain that alternates never settles down: taking many steps from one distribution does not find what stays.",
)
def stationary_after_many_steps(transitions: Tensor) -> Tensor:
    found = torch.zeros_like(transitions[0])
    found[0] = 1.0
    for _ in range(200):
        found = found @ transitions
    return found


@mistake(
    "stationary_distribution",
    says="A slow chain has not arrived yet: the number of steps is fixed, and too small for it.",
)
def stationary_after_a_few_mixed_steps(transitions: Tensor) -> Tensor:
    found = torch.full_like(transitions[0], 1 / len(transitions))
    for _ in range(8):
        found = (found + found @ transitions) / 2
    return found


@mistake(
    "stationary_distribution",
    says="The squares add up to 1, not the probabilities: the eigenvector comes with another norm.",
)
def stationary_of_length_one(transitions: Tensor) -> Tensor:
    values, vectors = torch.linalg.eig(transitions.T)
    return vectors[:, (values - 1).abs().argmin()].real.abs()


@mistake(
    "stationary_distribution",
    says="This is how likely each state is after one step from all states alike: not yet what stays.",
)
def stationary_after_one_step(transitions: Tensor) -> Tensor:
    return transitions.mean(dim=0)


@mistake(
    "stationary_distribution",
    says="The numbers are those of some eigenvector, some of them negative: the eigenvalue that belongs to what stays is 1.",
)
def stationary_of_the_smallest_eigenvalue(transitions: Tensor) -> Tensor:
    values, vectors = torch.linalg.eig(transitions.T)
    found = vectors[:, values.abs().argmin()].real
    return found / found.abs().sum()


# ---- entropy_rate

ENTROPIES = "stationary @ torch.xlogy(transitions, transitions).sum(dim=1)"

entropy_with_the_sign_flipped = edited(
    reference.entropy_rate,
    {"-(stationary": "(stationary"},
    says="The sign is flipped: an entropy is never negative.",
)
entropy_of_all_rows_alike = edited(
    reference.entropy_rate,
    {ENTROPIES: "torch.xlogy(transitions, transitions).sum(dim=1).mean()"},
    says="All states count alike: the entropy of a state counts as often as the chain is in that state.",
)
entropy_summed_over_rows = edited(
    reference.entropy_rate,
    {ENTROPIES: "torch.xlogy(transitions, transitions).sum()"},
    says="The entropies of all states are added up: they are to be averaged, each as often as the chain is in that state.",
)
entropy_that_is_nan_at_zero = edited(
    reference.entropy_rate,
    {"torch.xlogy(transitions, transitions)": "(transitions * transitions.log())"},
    says="A step that is never taken makes the entropy NaN: 0 times the logarithm of 0 counts as 0.",
)
entropy_in_bits = edited(
    reference.entropy_rate,
    {"torch.xlogy(transitions, transitions)": "torch.xlogy(transitions, transitions).div(0.6931472)"},
    says="Every value is 1.44 times what it should be: it is in bits, and was asked for in nats.",
)
entropy_of_the_states = edited(
    reference.entropy_rate,
    {ENTROPIES: "torch.xlogy(stationary, stationary).sum()"},
    says="This is the entropy of the states, whatever follows them: it ignores that the present state is known.",
)
entropy_of_neighbours = edited(
    reference.entropy_rate,
    {ENTROPIES: "(lambda pairs: torch.xlogy(pairs, pairs).sum())(stationary[:, None] * transitions)"},
    says="This is the entropy of two neighbours together: what the first alone costs has to be taken off.",
)
entropy_over_columns = edited(
    reference.entropy_rate,
    {"torch.xlogy(transitions, transitions).sum(dim=1)": "torch.xlogy(transitions, transitions).sum(dim=0)"},
    says="The terms are added up over the states before, not over those that follow.",
)


# ---- rnn_step

rnn_without_tanh = edited(
    reference.rnn_step,
    {"torch.tanh(": "("},
    says="The new state grows without bounds: nothing squeezes it between −1 and 1.",
)
rnn_with_a_sigmoid = edited(
    reference.rnn_step,
    {"torch.tanh(": "torch.sigmoid("},
    says="The new state is never negative: look at which function squeezes it.",
)
rnn_with_relu = edited(
    reference.rnn_step,
    {"torch.tanh(": "torch.relu("},
    says="The new state is never negative, and may grow without bounds: look at what is applied to the sum.",
)
rnn_with_a_transposed_matrix = edited(
    reference.rnn_step,
    {"F.linear(h, weight_hh, bias_hh)": "F.linear(h, weight_hh.T, bias_hh)"},
    says="The state is multiplied by its matrix from the wrong side: rows of the matrix belong to the new state.",
)
rnn_with_one_bias = edited(
    reference.rnn_step,
    {"F.linear(h, weight_hh, bias_hh)": "F.linear(h, weight_hh)"},
    says="One of the two biases counts for nothing.",
)
rnn_squeezed_twice = edited(
    reference.rnn_step,
    {"torch.tanh(F.linear(x, weight_ih, bias_ih) +": "torch.tanh(F.linear(x, weight_ih, bias_ih)) + torch.tanh("},
    says="Input and state are squeezed each by itself, and the new state reaches to 2: it is their sum that is squeezed.",
)
rnn_with_a_shortcut = edited(
    reference.rnn_step,
    {"return torch.tanh(": "return h + torch.tanh("},
    says="The state before is added to the new one: in this network it comes in through its matrix only.",
)


# ---- gru_step

gru_with_the_update_gate_turned = edited(
    reference.gru_step,
    {"(1 - update) * candidate + update * h": "update * candidate + (1 - update) * h"},
    says="An open update gate lets the candidate in, where it should keep the state: the two have changed places.",
)
gru_with_gates_in_another_order = edited(
    reference.gru_step,
    {
        "from_x[0] + from_h[0]": "from_x[1] + from_h[1]",
        "from_x[1] + from_h[1])\n    candidate": "from_x[0] + from_h[0])\n    candidate",
    },
    says="Reset and update gate have changed places: the reset gate's weights come first.",
)
gru_with_the_reset_before_the_matrix = edited(
    reference.gru_step,
    {
        "reset * from_h[2])": "F.linear(reset * h, weight_hh[2 * h.shape[1] :], bias_hh[2 * h.shape[1] :]))",
    },
    says="The reset gate is applied to the state before its matrix, as in the first paper: here it comes after both.",
)
gru_without_reset = edited(
    reference.gru_step,
    {"from_x[2] + reset * from_h[2]": "from_x[2] + from_h[2]"},
    says="The reset gate changes nothing.",
)
gru_with_the_bias_outside_the_reset = edited(
    reference.gru_step,
    {"reset * from_h[2])": "reset * (from_h[2] - bias_hh[2 * h.shape[1] :]) + bias_hh[2 * h.shape[1] :])"},
    says="With the reset gate closed the candidate still hears a bias of the state's: it belongs to what is reset.",
)
gru_with_a_sigmoid_candidate = edited(
    reference.gru_step,
    {"candidate = torch.tanh(": "candidate = torch.sigmoid("},
    says="The candidate is never negative: it is no gate.",
)
gru_that_resets_everything_heard = edited(
    reference.gru_step,
    {"from_x[2] + reset * from_h[2]": "reset * (from_x[2] + from_h[2])"},
    says="With the reset gate closed the input is not heard, either: only what comes from the state is reset.",
)
gru_without_the_state = edited(
    reference.gru_step,
    {" + update * h": ""},
    says="An open update gate gives zeros: the state before is not carried over.",
)


# ---- unroll

unroll_that_forgets = edited(
    reference.unroll,
    {"state = step(x, state)\n        states.append(state)": "states.append(step(x, state))"},
    says="Every step starts from the first state: what a step returns has to be passed to the next.",
)
unroll_with_cut_gradients = edited(
    reference.unroll,
    {"step(x, state)": "step(x, state.detach())"},
    says="No gradient reaches further back than one step: the state is cut off from the graph.",
)
unroll_one_state_late = edited(
    reference.unroll,
    {"state = step(x, state)\n        states.append(state)": "states.append(state)\n        state = step(x, state)"},
    says="Every state is one place late: it is the state before reading the input at its place, not after.",
)
unroll_from_zero = edited(
    reference.unroll,
    {"states = []": "states = []\n    state = 0 * state"},
    says="The state before the first input changes nothing: the network always starts from zeros.",
)
unroll_from_the_end = edited(
    reference.unroll,
    {"inputs.unbind(dim=1)": "inputs.flip(1).unbind(dim=1)"},
    says="The sequence is read from its end.",
)
unroll_of_the_last_state = edited(
    reference.unroll,
    {"torch.stack(states, dim=1)": "state.unsqueeze(1).expand(-1, len(states), -1)"},
    says="The last state stands at every position: each position has its own.",
)
unroll_with_time_first = edited(
    reference.unroll,
    {"torch.stack(states, dim=1)": "torch.stack(states)"},
    says="The positions come first and the batch second: it is the other way round.",
)


# ---- next_token_loss

loss_without_shift = edited(
    reference.next_token_loss,
    {
        "logits[:, :-1].transpose(1, 2), tokens[:, 1:]": "logits.transpose(1, 2), tokens",
        "(tokens[:, 1:] != padding)": "(tokens != padding)",
    },
    says="Every token is asked for where it is read, and only needs to be copied: what is predicted is the next one.",
)
loss_of_the_token_before = edited(
    reference.next_token_loss,
    {
        "logits[:, :-1].transpose(1, 2), tokens[:, 1:]": "logits[:, 1:].transpose(1, 2), tokens[:, :-1]",
        "(tokens[:, 1:] != padding)": "(tokens[:, :-1] != padding)",
    },
    says="The scores are compared with the token before: they are about the token after.",
)
loss_with_padding = edited(
    reference.next_token_loss,
    {
        "torch.ones_like(surprise) if padding is None else (tokens[:, 1:] != padding).to(surprise)": "torch.ones_like(surprise)"
    },
    says="Padding is predicted, too: it should count for nothing.",
)
loss_divided_by_all_positions = edited(
    reference.next_token_loss,
    {"/ counts.sum().clamp(min=1)": "/ max(1, counts.numel())"},
    says="The more padding, the smaller the loss: it is divided by the number of all positions, not of those that count.",
)
loss_with_the_readers_mask = edited(
    reference.next_token_loss,
    {"(tokens[:, 1:] != padding)": "(tokens[:, :-1] != padding)"},
    says="One padding token of each sequence is predicted: whether a token counts depends on itself, not on the one before.",
)
loss_averaged_by_sequence = edited(
    reference.next_token_loss,
    {
        "(surprise * counts).sum()": "((surprise * counts).sum(1)",
        "counts.sum().clamp(min=1)": "counts.sum(1).clamp(min=1)).mean()",
    },
    says="A token of a short sequence counts more than one of a long sequence: the mean is taken in each sequence first.",
)
loss_summed = edited(
    reference.next_token_loss,
    {" / counts.sum().clamp(min=1)": ""},
    says="The loss grows with the number of tokens: a sum stands where a mean was asked for.",
)
loss_that_is_nan_without_tokens = edited(
    reference.next_token_loss,
    {"counts.sum().clamp(min=1)": "counts.sum()"},
    says="If there is nothing to predict the loss is NaN: 0 is divided by 0.",
)
loss_of_probabilities = edited(
    reference.next_token_loss,
    {"logits[:, :-1].transpose(1, 2)": "logits[:, :-1].softmax(2).transpose(1, 2)"},
    says="However sure the model is, the loss stays away from 0: the softmax is applied twice.",
)


# ---- influence

influence_with_signs = edited(
    reference.influence,
    {".abs().sum(dim=(0, 1))": ".sum(dim=(0, 1))"},
    says="Influences are negative, or cancel: it is their sizes that are added up.",
)
influence_on_the_sum_of_channels = edited(
    reference.influence,
    {".abs().sum(dim=(0, 1))": ".sum(dim=0).abs().sum(dim=0)"},
    says="Influences on different output channels cancel: sizes are taken only after adding them up.",
)
influence_of_the_sum_of_channels = edited(
    reference.influence,
    {".abs().sum(dim=(0, 1))": ".sum(dim=1).abs().sum(dim=0)"},
    says="Influences of different input channels cancel: sizes are taken only after adding them up.",
)
influence_on_one_channel = edited(
    reference.influence,
    {".abs().sum(dim=(0, 1))": "[0].abs().sum(dim=0)"},
    says="Only the first output channel is looked at.",
)
influence_averaged = edited(
    reference.influence,
    {".abs().sum(dim=(0, 1))": ".abs().mean(dim=(0, 1))"},
    says="The influences are too small by the numbers of channels: a mean stands where a sum was asked for.",
)
influence_with_the_position_turned = edited(
    reference.influence,
    {"*position)]": "*(i % n for i, n in zip(position[::-1], x.shape[2:])))]"},
    says="For images another position is looked at: row and column have changed places.",
)
influence_on_everything = edited(
    reference.influence,
    {"[(0, slice(None), *position)]": "[0].flatten(1).sum(dim=1)"},
    says="The output is looked at everywhere at once: only the one position counts.",
)
influence_squared = edited(
    reference.influence,
    {".abs().sum(dim=(0, 1))": ".square().sum(dim=(0, 1))"},
    says="The derivatives are squared: it is their sizes that are added up.",
)


# ---- MaskedConv2d

mask_a_that_sees_itself = edited(
    reference.MaskedConv2d,
    {'1 if mask_type == "A" else 0': "0"},
    says="Type A sees its own pixel: a network that begins with it only has to copy.",
)
mask_b_that_misses_itself = edited(
    reference.MaskedConv2d,
    {'1 if mask_type == "A" else 0': "1"},
    says="Type B misses what is at its own place: only the first layer must not see that.",
)
mask_types_swapped = edited(
    reference.MaskedConv2d,
    {'1 if mask_type == "A" else 0': '1 if mask_type == "B" else 0'},
    says="A and B have changed places: it is A that must not see its own pixel.",
)
mask_only_at_the_start = edited(
    reference.MaskedConv2d,
    {
        'self.register_buffer("mask", mask)': "self.weight.data *= mask",
        "self.weight * self.mask": "self.weight",
    },
    says="As soon as the weights change, by training or by loading, later pixels are seen: the mask is applied only once.",
)
mask_column_by_column = edited(
    reference.MaskedConv2d,
    {
        "mask[:, :, : self.radius] = 1": "mask[:, :, :, : self.radius] = 1",
        "mask[:, :, self.radius, : self.radius] = 1": "mask[:, :, : self.radius, self.radius] = 1",
    },
    says="The columns to the left are seen, and of the own column what is above: rows and columns have changed places.",
)
mask_of_a_quadrant = edited(
    reference.MaskedConv2d,
    {"mask[:, :, : self.radius] = 1": "mask[:, :, : self.radius, : self.radius + 1] = 1"},
    says="Of the rows above only what is to the left is seen: these rows are all drawn, and may be seen in full.",
)
mask_of_whole_rows = edited(
    reference.MaskedConv2d,
    {"mask[:, :, self.radius, : self.radius] = 1": "mask[:, :, self.radius] = 1"},
    says="What is to the right in the same row is seen, though it is drawn later.",
)
mask_without_order_of_colors = edited(
    reference.MaskedConv2d,
    {"later = of_output[:, None] - of_input[None, :]": "later = 0 * (of_output[:, None] - of_input[None, :])"},
    says="At a pixel's own place all colours are treated alike: the earlier ones may be seen, and the later ones may not.",
)
mask_with_colors_interleaved = edited(
    reference.MaskedConv2d,
    {
        "torch.arange(out_channels) // (out_channels // colors)": "torch.arange(out_channels) % colors",
        "torch.arange(in_channels) // (in_channels // colors)": "torch.arange(in_channels) % colors",
    },
    says="The channels are dealt out to the colours in turn: each colour has a block of neighbouring channels.",
)
mask_with_colors_backwards = edited(
    reference.MaskedConv2d,
    {"of_output[:, None] - of_input[None, :]": "of_input[None, :] - of_output[:, None]"},
    says="The colours are in the reverse order: the first sees all others.",
)
mask_of_colors_everywhere = edited(
    reference.MaskedConv2d,
    {
        'self.register_buffer("mask", mask)': 'self.register_buffer("mask", mask * (later >= 0)[:, :, None, None])',
    },
    says="The order of colours is imposed on the neighbours, too: of those all colours are drawn already.",
)
mask_without_padding = edited(
    reference.MaskedConv2d,
    {", padding=self.radius": ""},
    says="The image shrinks: around it there should be zeros.",
)
mask_that_is_trained = edited(
    reference.MaskedConv2d,
    {'self.register_buffer("mask", mask)': "self.mask = nn.Parameter(mask)"},
    says="The mask is among the parameters: training will open it.",
)


# ---- sample_pixels

sample_of_the_likeliest = edited(
    reference.sample_pixels,
    {"(cumulative <= uniform[:, y, x, None]).sum(dim=1)": "cumulative.diff(prepend=0 * cumulative[:, :1]).argmax(1)"},
    says="All images are the same, whatever the random numbers: always the likeliest level is taken.",
)
sample_column_by_column = edited(
    reference.sample_pixels,
    {"for y, x in": "for x, y in", "map(range, pixels.shape[1:])": "map(range, pixels.mT.shape[1:])"},
    says="The pixels are drawn column after column: the order is row after row.",
)
sample_all_at_once = edited(
    reference.sample_pixels,
    {
        "    for y, x in": "    blank = pixels.clone()\n    for y, x in",
        "model(pixels)": "model(blank)",
    },
    says="Every pixel is drawn as if none had been drawn before: the model is not shown the pixels that are drawn already.",
)
sample_that_looks_ahead = edited(
    reference.sample_pixels,
    {"torch.where(known, image, pixels)": "image.clone()"},
    says="When an image is completed, the model is shown what stands in unknown pixels: they should be 0 until they are drawn.",
)
sample_that_overwrites = edited(
    reference.sample_pixels,
    {"        if image is not None and known[y, x]:\n            continue\n": ""},
    says="Known pixels are drawn anew: they should stay.",
)
sample_that_asks_for_known_pixels = edited(
    reference.sample_pixels,
    {
        "        if image is not None and known[y, x]:\n            continue\n": "",
        "pixels[:, y, x] = level": "if image is None or not known[y, x]:\n            pixels[:, y, x] = level",
    },
    says="The model is asked for pixels that are known, too, which costs a call for each.",
)
sample_with_numbers_of_its_own = edited(
    reference.sample_pixels,
    {"<= uniform[:, y, x, None]": "<= torch.rand_like(uniform[:, y, x, None])"},
    says="The same numbers give different images: fresh ones are drawn, and those passed in go unused.",
)
sample_one_level_too_high = edited(
    reference.sample_pixels,
    {".sum(dim=1)\n": ".sum(dim=1) + 1\n"},
    says="Levels are one too high: they count from 0.",
)
sample_with_one_number_for_all_pixels = edited(
    reference.sample_pixels,
    {"uniform[:, y, x, None]": "uniform[:, 0, 0, None]"},
    says="All pixels of an image are drawn with the same random number: each has its own.",
)


# ---- bits_per_dim

bits_in_nats = edited(
    reference.bits_per_dim,
    {" / math.log(2)": ""},
    says="Every value is 0.69 times what it should be: these are nats, and bits were asked for.",
)
bits_of_the_whole = edited(
    reference.bits_per_dim,
    {"log_likelihood / dimensions": "log_likelihood"},
    says="These are the bits for the whole data point: they have to be divided by the number of dimensions.",
)
bits_with_the_bins_upside_down = edited(
    reference.bits_per_dim,
    {"+ math.log(bin_width)": "- math.log(bin_width)"},
    says="Narrower bins make the data cheaper: they cost more, since they say more.",
)
bits_with_one_bin = edited(
    reference.bits_per_dim,
    {"log_likelihood / dimensions + math.log(bin_width)": "(log_likelihood + math.log(bin_width)) / dimensions"},
    says="The width of the bins counts only once for a data point: it counts once for each dimension.",
)
bits_without_bins = edited(
    reference.bits_per_dim,
    {" + math.log(bin_width)": ""},
    says="The width of the bins changes nothing, so that the value depends on the unit of the data.",
)
bits_of_the_whole_batch = edited(
    reference.bits_per_dim,
    {"/ math.log(2)": "/ math.log(2)\n    return bits.mean()", "return -(": "bits = -("},
    says="One number came for the whole batch: every data point has its own.",
)
bits_with_the_sign_flipped = edited(
    reference.bits_per_dim,
    {"return -(": "return ("},
    says="The sign is flipped: what is less likely needs more bits.",
)


# ---- GatedPixelCNNLayer

gated_layer_with_a_blind_spot = edited(
    reference.GatedPixelCNNLayer,
    {"q + self.link(p)": "q + 0 * self.link(p)"},
    says="The horizontal stack knows nothing of the rows above: the vertical stack has to tell it.",
)
gated_layer_that_looks_up_and_left_only = edited(
    reference.GatedPixelCNNLayer,
    {"F.pad(v, (r, r, r, -less))": "F.pad(v, (2 * r, 0, r, -less))"},
    says="Of the rows above only what is to the left is seen, and so a blind spot remains on the right.",
)
gated_layer_that_looks_down = edited(
    reference.GatedPixelCNNLayer,
    {"F.pad(v, (r, r, r, -less))": "F.pad(v, (r, r, r - 1, 1 - less))"},
    says="The vertical stack sees one row too far down: a row that is yet to be drawn.",
)
gated_layer_that_sees_itself = edited(
    reference.GatedPixelCNNLayer,
    {"F.pad(h, (r, -less, 0, 0))": "F.pad(h, (r - less, 0, 0, 0))"},
    says="In the first layer the horizontal stack sees its own pixel.",
)
gated_layer_with_a_leaking_shortcut = edited(
    reference.GatedPixelCNNLayer,
    {"new if self.first else h + new": "h + new"},
    says="In the first layer the shortcut adds h itself, which knows its own pixel.",
)
gated_layer_without_shortcut = edited(
    reference.GatedPixelCNNLayer,
    {"new if self.first else h + new": "new"},
    says="After the first layer h should be added to what the gate lets through: the shortcut is missing.",
)
gated_layer_with_swapped_halves = edited(
    reference.GatedPixelCNNLayer,
    {
        "self.output(torch.tanh(a) * torch.sigmoid(b))": "self.output(torch.sigmoid(a) * torch.tanh(b))",
        "return torch.tanh(a) * torch.sigmoid(b),": "return torch.sigmoid(a) * torch.tanh(b),",
    },
    says="The two halves of the channels have changed places: the first goes through tanh, the second opens the gate.",
)
gated_layer_without_gates = edited(
    reference.GatedPixelCNNLayer,
    {
        "self.output(torch.tanh(a) * torch.sigmoid(b))": "self.output(torch.tanh(a))",
        "return torch.tanh(a) * torch.sigmoid(b),": "return torch.tanh(a),",
    },
    says="Half of the channels changes nothing: it should open and close the gate for the other half.",
)
gated_layer_linked_after_the_gate = edited(
    reference.GatedPixelCNNLayer,
    {"self.link(p)": "self.link(torch.cat([torch.tanh(p.chunk(2, 1)[0]) * torch.sigmoid(p.chunk(2, 1)[1])] * 2, 1))"},
    says="The horizontal stack is told what comes after the vertical gate: it is told p, which goes into it.",
)
gated_layer_with_two_shortcuts = edited(
    reference.GatedPixelCNNLayer,
    {"return torch.tanh(a)": "return v + torch.tanh(a)"},
    says="The vertical stack has a shortcut, too, through which v sees its own row.",
)
gated_layer_without_output = edited(
    reference.GatedPixelCNNLayer,
    {"self.output(torch.tanh(a) * torch.sigmoid(b))": "torch.tanh(a) * torch.sigmoid(b) + 0 * self.output(a)"},
    says="The last 1 × 1 convolution changes nothing: `output` comes after the gate.",
)


# ---- CausalAttention2d

MASKED = "scores.masked_fill(~before, torch.finfo(scores.dtype).min)"

attention_to_oneself = edited(
    reference.CausalAttention2d,
    {"tril(diagonal=-1)": "tril()"},
    says="A pixel gathers from itself: only pixels before it may be looked at.",
)
attention_without_scaling = edited(
    reference.CausalAttention2d,
    {" / math.sqrt(key.shape[1])": ""},
    says="The larger the keys, the more one pixel takes all: the products are not divided by anything.",
)
attention_divided_by_the_width = edited(
    reference.CausalAttention2d,
    {"math.sqrt(key.shape[1])": "key.shape[1]"},
    says="The weights are too even, and more so the larger the keys: products are divided by key_dim, not by its root.",
)
attention_column_by_column = edited(
    reference.CausalAttention2d,
    {
        "(f.flatten(2) for f in": "(f.mT.flatten(2) for f in",
        ".unflatten(2, x.shape[2:])": ".unflatten(2, (x.shape[3], x.shape[2])).mT",
    },
    says="The pixels are counted column after column: the order is row after row.",
)
attention_of_nothing_is_nan = edited(
    reference.CausalAttention2d,
    {"torch.finfo(scores.dtype).min).softmax(dim=2) * before": "-torch.inf).softmax(dim=2)"},
    says="The first pixel gets NaN: a softmax over nothing but −∞ divides zero by zero.",
)
attention_of_nothing_is_cleaned_up = edited(
    reference.CausalAttention2d,
    {
        MASKED: "(scores + torch.zeros_like(scores).masked_fill(~before, -torch.inf))",
        ".softmax(dim=2) * before": ".softmax(dim=2).nan_to_num()",
    },
    says="The first pixel gets zeros, but gradients are NaN: replacing a NaN afterwards does not mend its derivative.",
)
attention_of_nothing_is_the_mean = edited(
    reference.CausalAttention2d,
    {".softmax(dim=2) * before": ".softmax(dim=2)"},
    says="The first pixel, which has none before it, gathers from all pixels: it should get zeros.",
)
attention_with_a_soft_mask = edited(
    reference.CausalAttention2d,
    {MASKED: "(scores - 1e4 * ~before)"},
    says="A later pixel with a high score takes weight away: a penalty on its score does not always suffice.",
)
attention_masked_after_the_softmax = edited(
    reference.CausalAttention2d,
    {MASKED: "scores"},
    says="The weights do not add up to 1: later pixels still took their share when the softmax was computed.",
)
attention_to_what_comes_later = edited(
    reference.CausalAttention2d,
    {"tril(diagonal=-1)": "triu(diagonal=1)"},
    says="Pixels gather from those that come later.",
)
attention_over_the_queries = edited(
    reference.CausalAttention2d,
    {".softmax(dim=2) * before": ".softmax(dim=1) * before"},
    says="The weights of one pixel do not add up to 1: the softmax runs over those who ask, not over what is asked.",
)


# ---- mu_law_encode

encode_rounded_down = edited(
    reference.mu_law_encode,
    {" + 0.5).floor()": ").floor()"},
    says="Levels are rounded down, and half of them are one too low: the nearest was asked for.",
)
encode_without_bending = edited(
    reference.mu_law_encode,
    {"x.sign() * torch.log1p(mu * x.abs()) / math.log1p(mu)": "x"},
    says="The levels are evenly spaced: quiet sounds should get finer ones, by the logarithm.",
)
encode_with_mu_one_too_large = edited(
    reference.mu_law_encode,
    {"mu = levels - 1": "mu = levels"},
    says="1 gets a level that does not exist: μ is one less than the number of levels.",
)
encode_without_sign = edited(
    reference.mu_law_encode,
    {"x.sign() * torch.log1p": "torch.log1p"},
    says="Negative amplitudes get the levels of positive ones: the sign is lost.",
)
encode_without_ends = edited(
    reference.mu_law_encode,
    {"x = x.clamp(-1, 1)": "x = 1 * x"},
    says="Amplitudes beyond −1 and 1 get levels that do not exist: they count as the nearer end.",
)
encode_around_zero = edited(
    reference.mu_law_encode,
    {"((y + 1) / 2 * mu + 0.5)": "(y * mu / 2 + 0.5)"},
    says="Levels are negative: silence lies in the middle of the levels, not at 0.",
)
encode_with_another_base = edited(
    reference.mu_law_encode,
    {" / math.log1p(mu)": " / math.log(mu)"},
    says="1 is bent to more than 1: what the logarithm is divided by is not the one that belongs to 1.",
)


# ---- mu_law_decode

decode_without_bending = edited(
    reference.mu_law_decode,
    {"y.sign() * torch.expm1(y.abs() * math.log1p(mu)) / mu": "y"},
    says="The amplitudes are evenly spaced: the bending has to be undone.",
)
decode_with_mu_one_too_large = edited(
    reference.mu_law_decode,
    {"mu = levels - 1": "mu = levels"},
    says="The last level is not 1: μ is one less than the number of levels.",
)
decode_without_sign = edited(
    reference.mu_law_decode,
    {"y.sign() * torch.expm1": "torch.expm1"},
    says="No amplitude is negative: the sign is lost.",
)
decode_in_bytes = edited(
    reference.mu_law_decode,
    {"2 * codes.float() / mu": "2 * codes / mu"},
    says="Levels that come as bytes overflow: twice a level of more than 127 does not fit into one.",
)
decode_with_e = edited(
    reference.mu_law_decode,
    {"torch.expm1(y.abs() * math.log1p(mu)) / mu": "torch.expm1(y.abs()) / math.expm1(1)"},
    says="The amplitudes are bent too little: the power is of e, not of 1 + μ.",
)
decode_without_taking_one_off = edited(
    reference.mu_law_decode,
    {"torch.expm1(y.abs() * math.log1p(mu)) / mu": "(torch.exp(y.abs() * math.log1p(mu)) / (mu + 1))"},
    says="There is a gap around silence: 1 has to be taken off the power before it is divided by μ.",
)
decode_from_zero = edited(
    reference.mu_law_decode,
    {"2 * codes.float() / mu - 1": "codes.float() / mu"},
    says="The first level is silence, and no amplitude is negative: silence lies in the middle of the levels.",
)


# ---- CausalConv1d

causal_convolution_in_the_middle = edited(
    reference.CausalConv1d,
    {"F.pad(x, (past, 0))": "F.pad(x, (past // 2, past - past // 2))"},
    says="The output depends on inputs yet to come: there are zeros at both ends, and they belong at the beginning.",
)
causal_convolution_backwards = edited(
    reference.CausalConv1d,
    {"F.pad(x, (past, 0))": "F.pad(x, (0, past))"},
    says="The output depends on inputs yet to come, and on none before: the zeros stand at the end.",
)
causal_convolution_without_holes = edited(
    reference.CausalConv1d,
    {"* self.dilation": "", "dilation=self.dilation)": "dilation=1)"},
    says="The dilation changes nothing: the inputs that are looked at lie next to each other.",
)
causal_convolution_that_misses_the_present = edited(
    reference.CausalConv1d,
    {"F.pad(x, (past, 0))": "F.pad(x, (past + 1, 0))[:, :, :-1]"},
    says="The present input is not heard: everything is one step late.",
)
causal_convolution_that_shrinks = edited(
    reference.CausalConv1d,
    {"F.pad(x, (past, 0))": "x"},
    says="The output is shorter than the input: zeros before its beginning are missing.",
)
causal_convolution_with_flipped_weights = edited(
    reference.CausalConv1d,
    {"(past, 0)), self.weight,": "(past, 0)), self.weight.flip(2),"},
    says="The weights are applied in the reverse order: the last is for the present.",
)
causal_convolution_with_repeated_ends = edited(
    reference.CausalConv1d,
    {"F.pad(x, (past, 0))": 'F.pad(x, (past, 0), mode="replicate")'},
    says="Before the beginning the first input is repeated: there should be zeros.",
)
causal_convolution_padded_without_holes = edited(
    reference.CausalConv1d,
    {"(self.weight.shape[2] - 1) * self.dilation": "self.weight.shape[2] - 1"},
    says="With a dilation the output is shorter than the input: the number of zeros before it takes no heed of the holes.",
)


# ---- receptive_field


@mistake("receptive_field", says="The fields of the layers are multiplied: each layer adds its reach.")
def field_multiplied(kernel_sizes: Sequence[int], dilations: Sequence[int]) -> int:
    return math.prod((k - 1) * d + 1 for k, d in zip(kernel_sizes, dilations, strict=True))


@mistake("receptive_field", says="The present step is not counted: the field is one too small.")
def field_without_the_present(kernel_sizes: Sequence[int], dilations: Sequence[int]) -> int:
    return sum((k - 1) * d for k, d in zip(kernel_sizes, dilations, strict=True))


@mistake("receptive_field", says="Every layer counts its kernel in full: a kernel of k reaches k − 1 holes back.")
def field_of_whole_kernels(kernel_sizes: Sequence[int], dilations: Sequence[int]) -> int:
    return 1 + sum(k * d for k, d in zip(kernel_sizes, dilations, strict=True))


@mistake("receptive_field", says="The dilations change nothing: they say how far apart the inputs are.")
def field_without_holes(kernel_sizes: Sequence[int], dilations: Sequence[int]) -> int:
    return 1 + sum(k - 1 for k in kernel_sizes)


@mistake("receptive_field", says="Only the last layer counts: what the layers below it look at comes on top.")
def field_of_the_last_layer(kernel_sizes: Sequence[int], dilations: Sequence[int]) -> int:
    return max((1 + (k - 1) * d for k, d in zip(kernel_sizes, dilations, strict=True)), default=1)


@mistake("receptive_field", says="Every layer counts the present step again: it is the same step in all of them.")
def field_with_the_present_in_every_layer(kernel_sizes: Sequence[int], dilations: Sequence[int]) -> int:
    return sum(1 + (k - 1) * d for k, d in zip(kernel_sizes, dilations, strict=True)) or 1


# ---- WaveNetBlock

block_with_filter_and_gate_swapped = edited(
    reference.WaveNetBlock,
    {
        "torch.tanh(self.filter(x)) * torch.sigmoid(self.gate(x))": "torch.tanh(self.gate(x)) * torch.sigmoid(self.filter(x))"
    },
    says="Filter and gate have changed places: it is the gate that goes through the sigmoid.",
)
block_with_two_tanhs = edited(
    reference.WaveNetBlock,
    {"torch.sigmoid(self.gate(x))": "torch.tanh(self.gate(x))"},
    says="The gate is negative now and then, and turns the filter round: a gate lies between 0 and 1.",
)
block_without_gate = edited(
    reference.WaveNetBlock,
    {"torch.tanh(self.filter(x)) * torch.sigmoid(self.gate(x))": "torch.tanh(self.filter(x)) + 0 * self.gate(x)"},
    says="The gate changes nothing.",
)
block_without_shortcut = edited(
    reference.WaveNetBlock,
    {"x + self.residual(z)": "self.residual(z)"},
    says="x′ lacks x: the shortcut is missing.",
)
block_that_skips_too_late = edited(
    reference.WaveNetBlock,
    {"self.skip(z)": "self.skip(x + self.residual(z))"},
    says="The way out begins at x′: it begins at z, before the shortcut.",
)
block_without_a_residual_convolution = edited(
    reference.WaveNetBlock,
    {"x + self.residual(z)": "x + z + 0 * self.residual(z)"},
    says="What passes the gate is added to x as it is: `residual` comes in between.",
)
block_that_skips_the_gate = edited(
    reference.WaveNetBlock,
    {"self.skip(z)": "self.skip(x)"},
    says="The way out begins at x: it begins at z, after the gate.",
)
block_with_one_ear = edited(
    reference.WaveNetBlock,
    {"self.gate(x)": "self.filter(x)"},
    says="Filter and gate are the same convolution: each has its own.",
)
