"""Known mistakes in `foundations`."""

from autograder.mistakes import edited
from solutions import foundations as reference

# ---- cross_entropy

entropy_summed = edited(
    reference.cross_entropy,
    {".mean()": ".sum()"},
    says="The loss grows with the batch: a sum stands where the mean over the batch was asked for.",
)
entropy_averaged_over_classes = edited(
    reference.cross_entropy,
    {".mean()": ".mean() / logits.shape[1]"},
    says="It is too small by the number of classes: the mean is over examples, not over all scores.",
)
entropy_of_each_example = edited(
    reference.cross_entropy,
    {".mean()": ""},
    says="One loss came for each example: an optimiser needs a single number, the mean.",
)
entropy_with_the_sign_flipped = edited(
    reference.cross_entropy,
    {"return (": "return -("},
    says="The loss falls as the right class becomes less likely: the sign is flipped.",
)
entropy_that_overflows = edited(
    reference.cross_entropy,
    {"torch.logsumexp(logits, dim=1)": "logits.exp().sum(dim=1).log()"},
    says="Large scores give infinities or NaN: exponentials are taken before the largest score is taken off.",
)
entropy_by_a_logarithm = edited(
    reference.cross_entropy,
    {
        "(torch.logsumexp(logits, dim=1) - logits.gather(1, labels.unsqueeze(1)).squeeze(1))": (
            "-torch.softmax(logits, dim=1).gather(1, labels.unsqueeze(1)).squeeze(1).log()"
        )
    },
    says="Where a probability is rounded to 0 its logarithm is infinite: take softmax and logarithm at once.",
)
entropy_with_an_epsilon = edited(
    reference.cross_entropy,
    {
        "(torch.logsumexp(logits, dim=1) - logits.gather(1, labels.unsqueeze(1)).squeeze(1))": (
            "-(torch.softmax(logits, dim=1).gather(1, labels.unsqueeze(1)).squeeze(1) + 1e-4).log()"
        )
    },
    says="However wrong a sure guess is, its price stops growing: a small number is added inside the logarithm.",
)
entropy_of_two_softmaxes = edited(
    reference.cross_entropy,
    {"    return (": "    logits = torch.softmax(logits, dim=1)\n    return ("},
    says="The softmax is applied twice: the most certain right answer still costs something.",
)
entropy_over_the_batch = edited(
    reference.cross_entropy,
    {"torch.logsumexp(logits, dim=1)": "torch.logsumexp(logits, dim=0).mean()"},
    says="Scores of different examples are normalised together: each row has its own probabilities.",
)
entropy_in_bits = edited(
    reference.cross_entropy,
    {".mean()": ".mean() / math.log(2)"},
    says="The surprise is counted in bits, and nats were asked for: the logarithm is natural.",
)
entropy_of_the_score_alone = edited(
    reference.cross_entropy,
    {"torch.logsumexp(logits, dim=1) - ": "-"},
    says="Only the score of the right class counts: what the other classes have is not taken into account.",
)

# ---- initialize_mlp

weights_as_wide_as_the_variance = edited(
    reference.initialize_mlp,
    {"math.sqrt(2 / inputs)": "(2 / inputs)"},
    says="The variance stands where the standard deviation belongs: a root is missing.",
)
weights_after_glorot = edited(
    reference.initialize_mlp,
    {"math.sqrt(2 / inputs)": "math.sqrt(2 / (inputs + outputs))"},
    says="The variance depends on the number of outputs, too: that is Glorot's rule, and He's was asked for.",
)
weights_by_outputs = edited(
    reference.initialize_mlp,
    {"math.sqrt(2 / inputs)": "math.sqrt(2 / outputs)"},
    says="The variance depends on the outputs of a layer: it is the inputs that are added up.",
)
weights_without_the_two = edited(
    reference.initialize_mlp,
    {"math.sqrt(2 / inputs)": "math.sqrt(1 / inputs)"},
    says="The variance is half of what it should be: a ReLU throws half of it away, which the 2 makes good.",
)
weights_uniform = edited(
    reference.initialize_mlp,
    {
        "torch.randn(outputs, inputs, generator=generator)": (
            "math.sqrt(3) * (2 * torch.rand(outputs, inputs, generator=generator) - 1)"
        )
    },
    says="No weight is ever beyond a certain size: they are uniform, and a normal distribution was asked for.",
)
weights_by_the_first_layer = edited(
    reference.initialize_mlp,
    {"math.sqrt(2 / inputs)": "math.sqrt(2 / sizes[0])"},
    says="All layers have the variance of the first: each has its own number of inputs.",
)
weights_lying_down = edited(
    reference.initialize_mlp,
    {"torch.randn(outputs, inputs, generator=generator)": "torch.randn(inputs, outputs, generator=generator)"},
    says="The matrices are transposed: a row belongs to an output, a column to an input.",
)
weights_with_random_biases = edited(
    reference.initialize_mlp,
    {"torch.zeros(outputs)": "torch.randn(outputs, generator=generator)"},
    says="The biases are random: they begin at 0.",
)
weights_with_global_randomness = edited(
    reference.initialize_mlp,
    {"torch.randn(outputs, inputs, generator=generator)": "torch.randn(outputs, inputs)"},
    says="Equal generators give different weights: the randomness comes from elsewhere.",
)
weights_that_repeat = edited(
    reference.initialize_mlp,
    {
        "    for inputs, outputs in": (
            "    state = generator.get_state() if generator is not None else torch.get_rng_state()\n"
            "    for inputs, outputs in"
        ),
        "        biases.append": (
            "        generator.set_state(state) if generator is not None else torch.set_rng_state(state)\n"
            "        biases.append"
        ),
    },
    says="Every layer, and every call, draws the same numbers: the generator is set back, where it should go on.",
)
weights_all_alike = edited(
    reference.initialize_mlp,
    {"torch.randn(outputs, inputs, generator=generator)": "torch.ones(outputs, inputs)"},
    says="All weights of a layer are equal: its units would learn the same for ever.",
)

# ---- mlp_forward

forward_without_relu = edited(
    reference.mlp_forward,
    {"F.relu(outputs[-1])": "outputs[-1]"},
    says="There is nothing between the layers: the whole network is one linear map.",
)
forward_with_relu_at_the_end = edited(
    reference.mlp_forward,
    {
        "    return inputs, outputs": "    outputs[-1] = F.relu(outputs[-1])\n    return inputs, outputs",
    },
    says="No logit is ever negative: a ReLU follows the last layer, too.",
)
forward_keeping_activations = edited(
    reference.mlp_forward,
    {
        "        x = F.relu(outputs[-1])": (
            "        x = F.relu(outputs[-1])\n        outputs[-1] = x if len(outputs) < len(weights) else outputs[-1]"
        )
    },
    says="What is kept of the hidden layers is never negative: the answers before the ReLU were asked for.",
)
forward_keeping_preactivations = edited(
    reference.mlp_forward,
    {
        "    return inputs, outputs": "    return [*inputs[:1], *outputs[:-1]], outputs",
    },
    says="What is kept as the input of a later layer is what came before the ReLU: the layer was given what came after.",
)
forward_without_the_bias = edited(
    reference.mlp_forward,
    {" + bias)": ")"},
    says="The biases make no difference.",
)
forward_with_the_first_layer_active = edited(
    reference.mlp_forward,
    {"        inputs.append(x)\n": "        x = F.relu(x)\n        inputs.append(x)\n"},
    says="The data go through a ReLU before the first layer, so that negative numbers in it are lost.",
)
forward_with_a_sigmoid = edited(
    reference.mlp_forward,
    {"F.relu(outputs[-1])": "torch.sigmoid(outputs[-1])"},
    says="What a later layer is given lies between 0 and 1: this is a sigmoid, and a ReLU was asked for.",
)
forward_with_a_leak = edited(
    reference.mlp_forward,
    {"F.relu(outputs[-1])": "F.leaky_relu(outputs[-1])"},
    says="A little of what is negative passes between the layers: this is a leaky ReLU.",
)
forward_with_probabilities = edited(
    reference.mlp_forward,
    {
        "    return inputs, outputs": "    outputs[-1] = torch.softmax(outputs[-1], dim=1)\n    return inputs, outputs",
    },
    says="The last answers add up to 1: these are probabilities, and logits were asked for.",
)

# ---- cross_entropy_backward

slope_without_the_batch = edited(
    reference.cross_entropy_backward,
    {" / len(logits)": ""},
    says="It is too large by the size of the batch: the loss is a mean over it.",
)
slope_with_the_sign_flipped = edited(
    reference.cross_entropy_backward,
    {"(torch.softmax(logits, dim=1) - right)": "(right - torch.softmax(logits, dim=1))"},
    says="It points the other way: following it downhill makes the right class less likely.",
)
slope_of_probabilities = edited(
    reference.cross_entropy_backward,
    {" - right)": ")"},
    says="The labels play no part: these are the probabilities, and no derivative is negative.",
)
slope_that_overflows = edited(
    reference.cross_entropy_backward,
    {"torch.softmax(logits, dim=1)": "logits.exp() / logits.exp().sum(dim=1, keepdim=True)"},
    says="Large scores give NaN: exponentials are taken before the largest score is taken off.",
)
slope_over_all_entries = edited(
    reference.cross_entropy_backward,
    {" / len(logits)": " / logits.numel()"},
    says="It is too small by the number of classes: the mean is over examples, not over all entries.",
)
slope_of_logits = edited(
    reference.cross_entropy_backward,
    {"torch.softmax(logits, dim=1)": "logits"},
    says="The scores themselves stand where their probabilities belong: the rows do not add up to 0.",
)
slope_over_the_batch = edited(
    reference.cross_entropy_backward,
    {"torch.softmax(logits, dim=1)": "torch.softmax(logits, dim=0)"},
    says="Probabilities are normalised over the batch, so that columns and not rows add up to 1.",
)
slope_of_the_right_class_only = edited(
    reference.cross_entropy_backward,
    {"(torch.softmax(logits, dim=1) - right)": "right * (torch.softmax(logits, dim=1) - 1)"},
    says="Only the score of the right class has a derivative: the others should be pushed down.",
)

# ---- linear_backward

linear_with_the_mean_bias = edited(
    reference.linear_backward,
    {"grad.sum(dim=0)": "grad.mean(dim=0)"},
    says="For the bias the examples are averaged: their derivatives add up.",
)
linear_with_the_mean_weight = edited(
    reference.linear_backward,
    {"grad.T @ x": "grad.T @ x / len(x)"},
    says="For the weights the examples are averaged: the loss has taken its mean already.",
)
linear_averaged = edited(
    reference.linear_backward,
    {"grad.T @ x": "grad.T @ x / len(x)", "grad.sum(dim=0)": "grad.mean(dim=0)"},
    says="For weights and bias the examples are averaged: whatever the loss averages is in the gradient already.",
)
linear_with_the_weight_lying_down = edited(
    reference.linear_backward,
    {"grad.T @ x": "x.T @ grad"},
    says="The derivative by the weights is transposed: it should have the shape of the weights.",
)
linear_through_the_wrong_side = edited(
    reference.linear_backward,
    {"grad @ weight,": "grad @ weight.T,"},
    says="The derivative by x goes through the transposed weights: look at which of their sides belongs to the outputs.",
)
linear_without_the_chain = edited(
    reference.linear_backward,
    {"grad @ weight,": "weight.sum(dim=0).expand_as(x),"},
    says="The derivative by x does not depend on what comes from above: it has to be multiplied by it.",
)
linear_bias_of_ones = edited(
    reference.linear_backward,
    {"grad.sum(dim=0)": "torch.ones_like(weight[:, 0])"},
    says="The derivative by the bias is 1 throughout: that is the slope of z, and the chain rule is still to come.",
)
linear_bias_over_outputs = edited(
    reference.linear_backward,
    {"grad.sum(dim=0)": "grad.sum(dim=0).sum().expand(len(weight))"},
    says="All biases have the same derivative: only the examples are added up, not the outputs.",
)
linear_of_the_first_example = edited(
    reference.linear_backward,
    {"grad.T @ x": "grad[:1].T @ x[:1]", "grad.sum(dim=0)": "grad[0]"},
    says="Weights and bias learn from the first example only: the examples add up.",
)

# ---- relu_backward

relu_of_the_gradient = edited(
    reference.relu_backward,
    {"grad * (z > 0)": "F.relu(grad)"},
    says="It depends on the sign of the gradient and not on that of z: the forward pass decides what passes.",
)
relu_of_both = edited(
    reference.relu_backward,
    {"grad * (z > 0)": "F.relu(grad) * (z > 0)"},
    says="Negative gradients never pass: only the sign of z decides.",
)
relu_times_z = edited(
    reference.relu_backward,
    {"grad * (z > 0)": "grad * F.relu(z)"},
    says="The result grows with z: the slope of a ReLU is 1 wherever z is positive.",
)
relu_open_at_zero = edited(
    reference.relu_backward,
    {"z > 0": "z >= 0"},
    says="Where z is exactly 0 the gradient passes: by convention nothing does.",
)
relu_half_open_at_zero = edited(
    reference.relu_backward,
    {"grad * (z > 0)": "grad * (1 + z.sign()) / 2"},
    says="Where z is exactly 0 half of the gradient passes: by convention nothing does.",
)
relu_without_the_chain = edited(
    reference.relu_backward,
    {"grad * (z > 0)": "(z > 0).to(grad)"},
    says="These are the slopes, 0 and 1: they have to be multiplied by what comes from above.",
)
relu_the_other_way_round = edited(
    reference.relu_backward,
    {"z > 0": "z < 0"},
    says="What should pass is blocked, and the other way round.",
)

# ---- mlp_backward

backward_without_relu = edited(
    reference.mlp_backward,
    {"            grad = relu(grad, outputs[k - 1])\n": "            pass\n"},
    says="The ReLUs are left out on the way back: units that were not active learn, too.",
)
backward_through_the_wrong_layer = edited(
    reference.mlp_backward,
    {"outputs[k - 1]": "inputs[k - 1]"},
    says="The ReLU is asked about the input of the layer before: it saw that layer's answer.",
)
backward_with_relu_at_the_end = edited(
    reference.mlp_backward,
    {
        "        grad, grad_weight, grad_bias = linear": (
            "        grad = relu(grad, outputs[k])\n        grad, grad_weight, grad_bias = linear"
        ),
        "            grad = relu(grad, outputs[k - 1])\n": "            pass\n",
    },
    says="The gradient of the logits goes through a ReLU, and none comes after the last layer.",
)
backward_with_relu_on_the_data = edited(
    reference.mlp_backward,
    {
        "        if k > 0:\n            grad = relu(grad, outputs[k - 1])": (
            "        grad = relu(grad, outputs[k - 1] if k > 0 else inputs[0])"
        )
    },
    says="The derivatives by x go through a ReLU, and there is none before the first layer.",
)
backward_in_reverse = edited(
    reference.mlp_backward,
    {
        "grad_weights.insert(0, grad_weight)": "grad_weights.append(grad_weight)",
        "grad_biases.insert(0, grad_bias)": "grad_biases.append(grad_bias)",
    },
    says="The last layer comes first in the lists: they should begin with the first layer.",
)
backward_asking_with_the_answer = edited(
    reference.mlp_backward,
    {"linear(grad, inputs[k], weights[k])": "linear(grad, inputs[k] if k == 0 else outputs[k - 1], weights[k])"},
    says="A later layer's weights get a derivative with what came before the ReLU: that layer was given what came after.",
)
backward_with_parts_of_its_own = edited(
    reference.mlp_backward,
    {
        "linear(grad, inputs[k], weights[k])": "(grad @ weights[k], grad.T @ inputs[k], grad.sum(dim=0))",
        "relu(grad, outputs[k - 1])": "grad * (outputs[k - 1] > 0)",
    },
    says="The functions that are passed as `linear` and `relu` are never asked.",
)

# ---- sgd_step

sgd_uphill = edited(
    reference.sgd_step,
    {"param - learning_rate * velocity": "param + learning_rate * velocity"},
    says="The step goes uphill, along the gradient.",
)
sgd_without_momentum = edited(
    reference.sgd_step,
    {"momentum * velocity + grad": "grad"},
    says="Nothing of the velocity before is kept: momentum has no effect.",
)
sgd_with_dampening = edited(
    reference.sgd_step,
    {"momentum * velocity + grad": "momentum * velocity + (1 - momentum) * grad"},
    says="The gradient is weighted by what momentum leaves: that is a running mean, and a plain sum was asked for.",
)
sgd_with_nesterov = edited(
    reference.sgd_step,
    {"param - learning_rate * velocity": "param - learning_rate * (grad + weight_decay * param + momentum * velocity)"},
    says="The step looks ahead, as Nesterov's does: plain momentum was asked for.",
)
sgd_with_the_rate_in_the_velocity = edited(
    reference.sgd_step,
    {
        "velocity + grad + weight_decay * param": "velocity + learning_rate * (grad + weight_decay * param)",
        "param - learning_rate * velocity": "param - velocity",
    },
    says="The velocity depends on the learning rate: that belongs into the step alone.",
)
sgd_without_decay = edited(
    reference.sgd_step,
    {" + weight_decay * param": ""},
    says="Weight decay has no effect.",
)
sgd_with_decoupled_decay = edited(
    reference.sgd_step,
    {
        " + weight_decay * param": "",
        "param - learning_rate * velocity": "param - learning_rate * (velocity + weight_decay * param)",
    },
    says="The decay bypasses the velocity, as in AdamW: here it is part of the gradient.",
)
sgd_with_negative_decay = edited(
    reference.sgd_step,
    {" + weight_decay * param": " - weight_decay * param"},
    says="Weight decay drives the weights away from 0: its sign is wrong.",
)
sgd_with_decay_doubled = edited(
    reference.sgd_step,
    {"weight_decay * param": "2 * weight_decay * param"},
    says="Weight decay counts twice: the penalty has a ½ in front, which its derivative uses up.",
)
sgd_with_the_old_velocity = edited(
    reference.sgd_step,
    {
        "    velocity = momentum * velocity + grad + weight_decay * param\n"
        "    return param - learning_rate * velocity, velocity": (
            "    new = momentum * velocity + grad + weight_decay * param\n"
            "    return param - learning_rate * velocity, new"
        )
    },
    says="The step is taken with the velocity of the step before: with the first gradient nothing moves.",
)
sgd_that_returns_the_old_velocity = edited(
    reference.sgd_step,
    {
        "    velocity = momentum * velocity + grad + weight_decay * param\n"
        "    return param - learning_rate * velocity, velocity": (
            "    new = momentum * velocity + grad + weight_decay * param\n"
            "    return param - learning_rate * new, velocity"
        )
    },
    says="The velocity that is returned is the old one: it never gathers anything.",
)

# ---- adam_step

adam_without_correction = edited(
    reference.adam_step,
    {"mean / (1 - beta1**step), square / (1 - beta2**step)": "mean, square"},
    says="The first steps have the wrong length: the running means begin at 0, and that bias is not corrected.",
)
adam_with_the_mean_uncorrected = edited(
    reference.adam_step,
    {"mean / (1 - beta1**step)": "mean"},
    says="The first steps are too short: only the running mean of the squares is corrected for its beginning.",
)
adam_with_the_square_uncorrected = edited(
    reference.adam_step,
    {"square / (1 - beta2**step)": "square"},
    says="The first steps are too long: only the running mean of the gradient is corrected for its beginning.",
)
adam_with_eps_inside = edited(
    reference.adam_step,
    {"(unbiased_square.sqrt() + eps)": "(unbiased_square + eps).sqrt()"},
    says="A large `eps` shortens steps too little or too much: it stands inside the root, and belongs outside.",
)
adam_without_the_root = edited(
    reference.adam_step,
    {"unbiased_square.sqrt()": "unbiased_square"},
    says="A gradient ten times as large makes a step a tenth as long: the root of the mean square is missing.",
)
adam_with_the_betas_swapped = edited(
    reference.adam_step,
    {"beta1, beta2 = betas": "beta2, beta1 = betas"},
    says="The two running means have each other's β.",
)
adam_counting_from_zero = edited(
    reference.adam_step,
    {"beta1**step": "beta1 ** (step + 1)", "beta2**step": "beta2 ** (step + 1)"},
    says="The correction is a step ahead: the number of the first step is 1 already.",
)
adam_returning_corrected_means = edited(
    reference.adam_step,
    {"+ eps), mean, square": "+ eps), unbiased_mean, unbiased_square"},
    says="The running means are returned without their bias, and would be corrected again at every step.",
)
adam_without_the_square = edited(
    reference.adam_step,
    {"grad.square()": "grad.abs()"},
    says="The second running mean is one of magnitudes: it is the squares that are averaged.",
)
adam_by_the_gradient = edited(
    reference.adam_step,
    {"learning_rate * unbiased_mean": "learning_rate * grad"},
    says="The step follows the gradient of the moment: the running mean has no effect on the weights.",
)
adam_with_weights_exchanged = edited(
    reference.adam_step,
    {
        "beta1 * mean + (1 - beta1) * grad": "(1 - beta1) * mean + beta1 * grad",
        "beta2 * square + (1 - beta2) * grad.square()": "(1 - beta2) * square + beta2 * grad.square()",
    },
    says="The running means forget almost everything at each step: β and what it leaves are exchanged.",
)
adam_uphill = edited(
    reference.adam_step,
    {"param - learning_rate": "param + learning_rate"},
    says="The step goes uphill, along the gradient.",
)
adam_with_eps_ahead = edited(
    reference.adam_step,
    {
        "learning_rate * unbiased_mean / (unbiased_square.sqrt() + eps)": (
            "learning_rate * math.sqrt(1 - beta2**step) / (1 - beta1**step) * mean / (square.sqrt() + eps)"
        )
    },
    says="`eps` is added before the correction of the squares, so that it counts for more in the first steps.",
)

# ---- train_classifier

training_without_steps = edited(
    reference.train_classifier,
    {"            optimizer.step()\n": ""},
    says="No weight has moved: gradients are computed, but no step is taken.",
)
training_with_gradients_that_pile_up = edited(
    reference.train_classifier,
    {"            optimizer.zero_grad()\n": ""},
    says="Gradients pile up from step to step: they are never set back to zero.",
)
training_by_plain_gradient_descent = edited(
    reference.train_classifier,
    {"torch.optim.Adam": "torch.optim.SGD"},
    says="The steps are those of plain gradient descent, and Adam was asked for.",
)
training_in_order = edited(
    reference.train_classifier,
    {"torch.randperm(len(images), generator=generator)": "torch.arange(len(images))"},
    says="The images come in the same order in every epoch: nothing shuffles them.",
)
training_in_one_order = edited(
    reference.train_classifier,
    {
        "    for epoch in range(epochs):\n": (
            "    order = torch.randperm(len(images), generator=generator)\n    for epoch in range(epochs):\n"
        ),
        "torch.randperm(len(images), generator=generator).split": "order.split",
    },
    says="The images are shuffled once, and come in the same order in every epoch.",
)
training_with_global_randomness = edited(
    reference.train_classifier,
    {"torch.randperm(len(images), generator=generator)": "torch.randperm(len(images))"},
    says="Equal generators give different orders: the order comes from elsewhere.",
)
training_with_other_labels = edited(
    reference.train_classifier,
    {"labels[rows])": "labels[: len(rows)])"},
    says="Images are shuffled and their labels are not: most images are taught under the wrong name.",
)
training_with_replacement = edited(
    reference.train_classifier,
    {
        "torch.randperm(len(images), generator=generator)": (
            "torch.randint(len(images), (len(images),), generator=generator)"
        )
    },
    says="Some images come several times in an epoch and others never: an epoch takes each once.",
)
training_that_drops_the_rest = edited(
    reference.train_classifier,
    {
        "            rows = rows.to(images.device)\n": (
            "            if len(rows) < batch_size:\n                continue\n"
            "            rows = rows.to(images.device)\n"
        )
    },
    says="The last minibatch of an epoch is left out when it is smaller than the others.",
)
training_that_averages_minibatches = edited(
    reference.train_classifier,
    {
        "total += value.item() * len(rows)": "total += value.item()",
        "total / len(images)": "total / math.ceil(len(images) / batch_size)",
    },
    says="A small last minibatch counts as much as a full one: the mean is over images.",
)
training_that_returns_sums = edited(
    reference.train_classifier,
    {"history.append(total / len(images))": "history.append(total)"},
    says="What is returned grows with the number of images: it should be their mean.",
)
training_that_returns_the_last_loss = edited(
    reference.train_classifier,
    {"history.append(total / len(images))": "history.append(value.item())"},
    says="What is returned is the loss of an epoch's last minibatch: the mean over all images was asked for.",
)
training_that_never_evaluates = edited(
    reference.train_classifier,
    {"        model.eval()\n": ""},
    says="The model is still in training mode when on_epoch is called.",
)
training_that_stays_in_evaluation = edited(
    reference.train_classifier,
    {
        "    history: list[float] = []\n": "    history: list[float] = []\n    model.train()\n",
        "        model.train()\n": "",
    },
    says="From the second epoch on the model learns in evaluation mode: dropout would do nothing.",
)
training_that_does_not_listen = edited(
    reference.train_classifier,
    {
        "        if on_epoch is not None and on_epoch(epoch, history[-1]) is True:\n            break\n": (
            "        if on_epoch is not None:\n            on_epoch(epoch, history[-1])\n"
        )
    },
    says="Training goes on although on_epoch has returned True.",
)
training_that_counts_from_one = edited(
    reference.train_classifier,
    {"on_epoch(epoch, history[-1])": "on_epoch(epoch + 1, history[-1])"},
    says="on_epoch hears of epochs counted from 1: they count from 0.",
)
training_by_its_own_loss = edited(
    reference.train_classifier,
    {
        "            value = loss(model(images[rows]), labels[rows])\n": (
            "            logits = model(images[rows])\n"
            "            loss(logits, labels[rows])\n"
            "            value = F.cross_entropy(logits, labels[rows])\n"
        )
    },
    says="It minimises a loss of its own: what the function passed as `loss` returns has no effect.",
)

# ---- search_hyperparameters

search_for_the_lowest = edited(
    reference.search_hyperparameters,
    {"max(scored": "min(scored"},
    says="The worst setting is taken for the best: the higher a score, the better.",
)
search_from_zero = edited(
    reference.search_hyperparameters,
    {'if not math.isnan(row["score"])': 'if row["score"] > 0'},
    says="Where all scores are negative nothing is found: the search begins with a best score of 0.",
)
search_that_trips_over_nan = edited(
    reference.search_hyperparameters,
    {'scored = [row for row in table if not math.isnan(row["score"])]': "scored = table"},
    says="A score of NaN that comes first stays the best for ever: nothing compares as higher.",
)
search_that_drops_failures = edited(
    reference.search_hyperparameters,
    {
        "    return max(scored": "    table = scored\n    return max(scored",
    },
    says="Settings whose training failed are missing from the table: they were tried, too.",
)
search_for_the_last_of_equals = edited(
    reference.search_hyperparameters,
    {"max(scored": "max(reversed(scored)"},
    says="Among equals the last one is taken: the first should be.",
)
search_with_repetition = edited(
    reference.search_hyperparameters,
    {
        "torch.randperm(len(settings), generator=generator)[:trials]": (
            "torch.randint(len(settings), (min(trials, len(settings)),), generator=generator)"
        )
    },
    says="A random search tries some settings twice: they are to be drawn without repetition.",
)
search_of_the_first = edited(
    reference.search_hyperparameters,
    {"torch.randperm(len(settings), generator=generator)[:trials]": "torch.arange(len(settings))[:trials]"},
    says="A random search always tries the beginning of the grid: nothing is drawn.",
)
search_with_global_randomness = edited(
    reference.search_hyperparameters,
    {"torch.randperm(len(settings), generator=generator)": "torch.randperm(len(settings))"},
    says="Equal generators try different settings: the randomness comes from elsewhere.",
)
search_one_by_one = edited(
    reference.search_hyperparameters,
    {
        "for values in itertools.product(*grid.values())]": (
            "for values in itertools.zip_longest(*grid.values()) if None not in values]"
        )
    },
    says="The lists are gone through side by side: every value of one meets every value of the others.",
)
search_backwards = edited(
    reference.search_hyperparameters,
    {
        "[dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]": (
            "[{name: values[::-1][k] for k, name in enumerate(grid)}"
            " for values in itertools.product(*list(grid.values())[::-1])]"
        )
    },
    says="The first name changes fastest: in the order that was asked for it is the last one.",
)
search_that_evaluates_twice = edited(
    reference.search_hyperparameters,
    {
        "    scored = ": '    table = [{**row, "score": evaluate(**{n: row[n] for n in grid})} for row in table]\n    scored = '
    },
    says="Every setting is evaluated twice, which costs twice the time.",
)
search_that_returns_the_setting = edited(
    reference.search_hyperparameters,
    {
        '    return max(scored, key=lambda row: row["score"], default=None), table': (
            '    best = max(scored, key=lambda row: row["score"], default=None)\n'
            "    return best and {name: best[name] for name in grid}, table"
        )
    },
    says="The best row has no score: the whole row was asked for.",
)

# ---- kmeans_step

kmeans_with_nan = edited(
    reference.kmeans_step,
    {"torch.where(counts > 0, members.T @ points / counts, centroids)": "members.T @ points / counts"},
    says="A centroid without points becomes NaN: a sum over nothing is divided by 0.",
)
kmeans_to_the_origin = edited(
    reference.kmeans_step,
    {"torch.where(counts > 0, members.T @ points / counts, centroids)": ("members.T @ points / counts.clamp(min=1)")},
    says="A centroid without points jumps to the origin: it should stay where it is.",
)
kmeans_with_sums = edited(
    reference.kmeans_step,
    {" / counts": ""},
    says="A centroid moves to the sum of its points: it should be their mean.",
)
kmeans_over_all_points = edited(
    reference.kmeans_step,
    {"/ counts": "/ len(points)"},
    says="Centroids are drawn towards the origin: sums are divided by the number of all points, not of a cluster's own.",
)
kmeans_to_the_farthest = edited(
    reference.kmeans_step,
    {"argmin": "argmax"},
    says="Points are given to the centroid that is farthest away.",
)
kmeans_by_the_dot_product = edited(
    reference.kmeans_step,
    {"(points.unsqueeze(1) - centroids).square().sum(dim=2).argmin(dim=1)": "(points @ centroids.T).argmax(dim=1)"},
    says="Points go to the centroid with the largest inner product: that favours centroids that are far out.",
)
kmeans_by_city_blocks = edited(
    reference.kmeans_step,
    {".square()": ".abs()"},
    says="Distances are sums of absolute differences: Euclidean distances were asked for.",
)
kmeans_without_the_square = edited(
    reference.kmeans_step,
    {".square()": ""},
    says="Differences to both sides cancel each other: distances are never negative.",
)
kmeans_labels_afterwards = edited(
    reference.kmeans_step,
    {
        "    return labels, torch.where(counts > 0, members.T @ points / counts, centroids)": (
            "    centroids = torch.where(counts > 0, members.T @ points / counts, centroids)\n"
            "    return torch.cdist(points, centroids).argmin(dim=1), centroids"
        )
    },
    says="The labels belong to the centroids after the move: points are given to those that came in.",
)
kmeans_halfway = edited(
    reference.kmeans_step,
    {"members.T @ points / counts": "(centroids + members.T @ points / counts) / 2"},
    says="Centroids go half of the way to the mean of their points: they should arrive there.",
)

# ---- epsilon_greedy

greedy_the_other_way_round = edited(
    reference.epsilon_greedy,
    {"random_actions, values.argmax(dim=1)": "values.argmax(dim=1), random_actions"},
    says="It explores where it should take the best action, and the other way round.",
)
greedy_always = edited(
    reference.epsilon_greedy,
    {"torch.where(uniform < epsilon, random_actions, values.argmax(dim=1))": "values.argmax(dim=1)"},
    says="The best action is always taken: nothing is ever explored.",
)
greedy_never = edited(
    reference.epsilon_greedy,
    {"torch.where(uniform < epsilon, random_actions, values.argmax(dim=1))": "random_actions.clone()"},
    says="The random action is always taken: what has been learnt is never used.",
)
greedy_at_the_boundary = edited(
    reference.epsilon_greedy,
    {"uniform < epsilon": "uniform <= epsilon"},
    says="A row explores even if its number is exactly ε, so that it can happen at ε of 0.",
)
greedy_for_the_worst = edited(
    reference.epsilon_greedy,
    {"argmax": "argmin"},
    says="Rows that do not explore take their worst action.",
)
greedy_for_all_rows = edited(
    reference.epsilon_greedy,
    {"values.argmax(dim=1)": "values.mean(dim=0).argmax().expand_as(random_actions)"},
    says="All rows take the action that is best on average: each row is a decision of its own.",
)
greedy_with_one_draw = edited(
    reference.epsilon_greedy,
    {"uniform < epsilon": "uniform[0] < epsilon"},
    says="The first row decides for all whether to explore: each has a number of its own.",
)
greedy_by_magnitude = edited(
    reference.epsilon_greedy,
    {"values.argmax": "values.abs().argmax"},
    says="An action that is worth less than nothing counts as good: magnitudes are compared.",
)

# ---- q_learning_update

q_beyond_the_end = edited(
    reference.q_learning_update,
    {"reward if done else reward": "reward"},
    says="Something is earned after the end of an episode: the next state's values count although it is over.",
)
q_without_the_last_reward = edited(
    reference.q_learning_update,
    {"reward if done else": "0.0 if done else"},
    says="The reward of the move that ends an episode is lost.",
)
q_of_the_same_action = edited(
    reference.q_learning_update,
    {"q[next_state].max()": "q[next_state, action]"},
    says="The future is judged by the action just taken: it is the best action of the next state that counts.",
)
q_of_the_mean_action = edited(
    reference.q_learning_update,
    {"q[next_state].max()": "q[next_state].mean()"},
    says="The future is judged by the mean over actions: whoever follows the table takes the best.",
)
q_of_the_best_state = edited(
    reference.q_learning_update,
    {"q[next_state].max()": "q.max()"},
    says="The future is judged by the best entry of the whole table: only the next state's row counts.",
)
q_of_the_state_before = edited(
    reference.q_learning_update,
    {"q[next_state].max()": "q[state].max()"},
    says="The future is judged from the state where the move began, not from where it led.",
)
q_all_the_way = edited(
    reference.q_learning_update,
    {"+= learning_rate * (target - q[state, action])": "= target"},
    says="The entry jumps to the target: only `learning_rate` of the way was asked for.",
)
q_without_forgetting = edited(
    reference.q_learning_update,
    {"learning_rate * (target - q[state, action])": "learning_rate * target"},
    says="The old value is not taken off: an entry that is right already goes on growing.",
)
q_without_discount = edited(
    reference.q_learning_update,
    {"gamma * q[next_state]": "q[next_state]"},
    says="The future counts in full: γ has no effect.",
)
q_discounting_the_reward = edited(
    reference.q_learning_update,
    {"reward + gamma * q[next_state].max()": "gamma * (reward + q[next_state].max())"},
    says="The reward of the move itself is discounted: only what follows is.",
)
q_away_from_the_target = edited(
    reference.q_learning_update,
    {"(target - q[state, action])": "(q[state, action] - target)"},
    says="The entry moves away from the target: the difference has the wrong sign.",
)
q_of_the_next_state = edited(
    reference.q_learning_update,
    {"updated[state, action] +=": "updated[next_state, action] +="},
    says="The entry of the next state is changed: the move began in the state before.",
)
q_with_the_rates_exchanged = edited(
    reference.q_learning_update,
    {"gamma * q[next_state]": "learning_rate * q[next_state]", "+= learning_rate *": "+= gamma *"},
    says="The learning rate and the discount factor stand in each other's place.",
)
