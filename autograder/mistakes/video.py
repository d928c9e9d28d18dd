"""Known mistakes in `video`."""

from autograder.mistakes import edited
from solutions import video as reference

# ---- frame_consistency

consistency_summed = edited(
    reference.frame_consistency,
    {".mean(dim=1)": ".sum(dim=1)"},
    says="Longer clips score more: the pairs of neighbours are added up, not averaged.",
)
consistency_averaged_over_frames = edited(
    reference.frame_consistency,
    {".mean(dim=1)": ".sum(dim=1) / features.shape[1]"},
    says="A clip that stands still scores less than 1: count the pairs of neighbours, not the frames.",
)
consistency_with_the_first_frame = edited(
    reference.frame_consistency,
    {"frames[:, :-1]": "frames[:, :1].expand_as(frames[:, 1:])"},
    says="Every frame is compared with the first one, where its neighbour was asked for.",
)
consistency_around_the_end = edited(
    reference.frame_consistency,
    {"frames[:, 1:], frames[:, :-1]": "frames, frames.roll(1, 1)"},
    says="The first frame is compared with the last one, too: a clip is no ring.",
)
consistency_of_products = edited(
    reference.frame_consistency,
    {"F.cosine_similarity(frames[:, 1:], frames[:, :-1], dim=2)": "(frames[:, 1:] * frames[:, :-1]).sum(2)"},
    says="Brighter frames score more: the products are not divided by the lengths of the two vectors.",
)
consistency_of_angles_between_channels = edited(
    reference.frame_consistency,
    {
        "frames = features.flatten(2)": "frames = features",
        "dim=2).mean(dim=1)": "dim=2).flatten(1).mean(dim=1)",
    },
    says="Only the first dimension of a frame's features goes into one vector: all of a frame does.",
)
consistency_that_is_lost_in_the_dark = edited(
    reference.frame_consistency,
    {
        "F.cosine_similarity(frames[:, 1:], frames[:, :-1], dim=2)": "((frames[:, 1:] * frames[:, :-1]).sum(2) / "
        "(frames[:, 1:].square().sum(2) * frames[:, :-1].square().sum(2)).sqrt())"
    },
    says="A black frame gives NaN: nothing keeps the division by its length from being one by 0.",
)
consistency_as_a_distance = edited(
    reference.frame_consistency,
    {"return F.cosine_similarity": "return 1 - F.cosine_similarity"},
    says="Calm clips score lower than restless ones: this is a distance, and a likeness was asked for.",
)
consistency_of_the_whole_batch = edited(
    reference.frame_consistency,
    {".mean(dim=1)": ".mean()"},
    says="One number came for the whole batch: each clip has its own score.",
)

# ---- warp

warp_the_other_way = edited(
    reference.warp,
    {"+ flow[:, 1]": "- flow[:, 1]", "+ flow[:, 0]": "- flow[:, 0]"},
    says="Things move along with the flow, where each pixel was to be fetched from where the flow points: the sign is flipped.",
)
warp_with_the_flows_exchanged = edited(
    reference.warp,
    {"+ flow[:, 1]": "+ flow[:, 0]", "device=flow.device) + flow[:, 0]": "device=flow.device) + flow[:, 1]"},
    says="Rows and columns are mistaken for each other: the first part of the flow goes to the right, the second downwards.",
)
warp_between_outer_edges = edited(
    reference.warp,
    {"align_corners=True": "align_corners=False"},
    says="A flow of 0 does not leave a frame as it is: in one place −1 and 1 mean the middles of the outermost pixels, in "
    "another their outer edges.",
)
warp_with_black_around = edited(
    reference.warp,
    {'padding_mode="border"': 'padding_mode="zeros"'},
    says="Beyond its border the frame is black, where it was to go on with its outermost pixels.",
)
warp_with_a_mirror_around = edited(
    reference.warp,
    {'padding_mode="border"': 'padding_mode="reflection"'},
    says="Beyond its border the frame is mirrored, where it was to go on with its outermost pixels.",
)
warp_to_the_nearest_pixel = edited(
    reference.warp,
    {'mode="bilinear"': 'mode="nearest"'},
    says="Between two pixels the nearer one is taken whole: interpolation is missing, and with it the gradient for the flow.",
)
warp_scaled_by_the_size = edited(
    reference.warp,
    {"max(width - 1, 1)": "width", "max(height - 1, 1)": "height"},
    says="A flow of 0 shrinks the frame: from the first pixel to the last there is one step less than there are pixels.",
)
warp_in_units_of_the_frame = edited(
    reference.warp,
    {
        "device=flow.device)[:, None] + flow[:, 1]": "device=flow.device)[:, None].expand_as(flow[:, 1])",
        "device=flow.device) + flow[:, 0]": "device=flow.device).expand_as(flow[:, 0])",
        "dim=3) - 1": "dim=3) - 1 + flow.permute(0, 2, 3, 1)",
    },
    says="A flow of 1 moves things by half a frame: the flow is in pixels, and is added where −1 to 1 is the whole frame.",
)
warp_that_is_cut_off = edited(
    reference.warp,
    {"dim=3) - 1": "dim=3).detach() - 1"},
    says="No gradient flows to the flow: it is cut off where the places are computed.",
)
warp_with_one_flow_for_all = edited(
    reference.warp,
    {"flow[:, 1]\n": "flow[:1, 1]\n", "flow[:, 0]\n": "flow[:1, 0]\n", "F.grid_sample(frame, grid,": "F.grid_sample("
     "frame, grid.expand(len(frame), -1, -1, -1),"},
    says="All frames of the batch are moved by the first one's flow.",
)  # fmt: skip

# ---- visible_pixels

visible_wherever_the_way_leads = edited(
    reference.visible_pixels,
    {"(astray <= 0.01 * length + 0.5) & within": "astray <= 0.01 * length + 0.5"},
    says="Pixels that leave the frame count as visible: that their place is within it is not asked for.",
)
visible_but_for_the_border = edited(
    reference.visible_pixels,
    {"columns >= 0": "columns > 0", "columns <= width - 1": "columns < width - 1", "rows >= 0": "rows > 0",
     "rows <= height - 1": "rows < height - 1"},
    says="The outermost rows and columns count as outside: they belong to the frame.",
)  # fmt: skip
visible_half_a_pixel_further = edited(
    reference.visible_pixels,
    {"columns <= width - 1": "columns <= width", "rows <= height - 1": "rows <= height"},
    says="Places up to one pixel beyond the last row or column count as within: counting begins at 0.",
)
visible_without_going_there = edited(
    reference.visible_pixels,
    {"there = warp(back, flow)": "there = back"},
    says="The way back is read at the pixel itself, where it was to be read at the place to which the flow leads.",
)
visible_with_the_roles_exchanged = edited(
    reference.visible_pixels,
    {"warp(back, flow)": "warp(flow, back)"},
    says="The flow is read where the way back leads: the two arguments of the warping are exchanged.",
)
visible_by_the_difference = edited(
    reference.visible_pixels,
    {"flow + there": "flow - there"},
    says="A way back that is the way there, reversed, counts as astray: of the two the sum is 0, not the difference.",
)
visible_within_half_a_pixel = edited(
    reference.visible_pixels,
    {"astray <= 0.01 * length + 0.5": "astray <= 0.5"},
    says="Long ways are held to the same half as short ones: the part that grows with their length is missing.",
)
visible_by_lengths = edited(
    reference.visible_pixels,
    {"(astray <= 0.01 * length + 0.5)": "(astray.sqrt() <= 0.01 * length.sqrt() + 0.5)"},
    says="Lengths are compared, where the rule is about their squares.",
)
hidden_pixels = edited(
    reference.visible_pixels,
    {"return (astray <= 0.01 * length + 0.5) & within": "return ~((astray <= 0.01 * length + 0.5) & within)"},
    says="True and False are exchanged: these are the pixels that cannot be seen.",
)

# ---- temporal_consistency

error_averaged_over_channels = edited(
    reference.temporal_consistency,
    {"(current - warp(previous, flow)).square().sum(dim=1)": "(current - warp(previous, flow)).square().mean(dim=1)"},
    says="The error is too small by the number of channels: over these a sum was asked for.",
)
error_averaged_over_all_pixels = edited(
    reference.temporal_consistency,
    {" / seen.sum(dim=(1, 2)).clamp(min=1)": " / seen[0].numel()"},
    says="Pixels that do not count lower the average: it is over the visible ones only.",
)
error_added_up = edited(
    reference.temporal_consistency,
    {" / seen.sum(dim=(1, 2)).clamp(min=1)": ""},
    says="The error grows with the number of visible pixels: it is their sum, not their average.",
)
error_of_everything = edited(
    reference.temporal_consistency,
    {"seen = visible.to(error.dtype)": "seen = torch.ones_like(error)"},
    says="Pixels that could not be seen before count as well: `visible` has no effect.",
)
error_of_hidden_pixels = edited(
    reference.temporal_consistency,
    {"visible.to(error.dtype)": "(~visible).to(error.dtype)"},
    says="Only the pixels that could not be seen count: True marks the visible ones.",
)
error_without_motion = edited(
    reference.temporal_consistency,
    {"warp(previous, flow)": "previous"},
    says="Whatever moves costs something: the frame before is not warped.",
)
error_of_the_wrong_frame = edited(
    reference.temporal_consistency,
    {"current - warp(previous, flow)": "previous - warp(current, flow)"},
    says="The frame now is warped, where the flow leads from it to the frame before: that one is to be fetched.",
)
error_of_sizes = edited(
    reference.temporal_consistency,
    {".square()": ".abs()"},
    says="Large differences count too little: sizes are added up, where squares were asked for.",
)
error_of_nothing_at_all = edited(
    reference.temporal_consistency,
    {".clamp(min=1)": ""},
    says="A pair without a visible pixel gives NaN: 0 is divided by 0.",
)
error_of_the_whole_batch = edited(
    reference.temporal_consistency,
    {"(error * seen).sum(dim=(1, 2)) / seen.sum(dim=(1, 2)).clamp(min=1)": "(error * seen).sum() / seen.sum().clamp("
     "min=1)"},
    says="One number came for the whole batch: each pair of frames has its own error.",
)  # fmt: skip
error_averaged_over_the_batch = edited(
    reference.temporal_consistency,
    {"(error * seen).sum(dim=(1, 2)) / seen.sum(dim=(1, 2)).clamp(min=1)": "((error * seen).sum() / seen.sum().clamp("
     "min=1)).expand(len(error))"},
    says="All pairs get the same error: the average runs over the batch, too.",
)  # fmt: skip

# ---- interpolate_frames

frames_that_fade = edited(
    reference.interpolate_frames,
    {"warp(first, to_first)": "first", "warp(second, to_second)": "second"},
    says="Things fade out at one place and in at another: the two frames are blended without being warped.",
)
frames_with_the_weights_exchanged = edited(
    reference.interpolate_frames,
    {
        "return (1 - time) * warp(first, to_first) + time * warp": "return time * warp(first, to_first) + (1 - time) * warp"
    },
    says="At time 0 the second frame comes: the weights of the two frames are exchanged.",
)
frames_with_even_weights = edited(
    reference.interpolate_frames,
    {"return (1 - time) * warp(first, to_first) + time * warp": "return 0.5 * warp(first, to_first) + 0.5 * warp"},
    says="Both frames count alike at all times: the nearer one should count more, and alone at its own time.",
)
frames_fetched_the_wrong_way = edited(
    reference.interpolate_frames,
    {"to_first = -(1 - time) * time * forward + time**2": "to_first = (1 - time) * time * forward - time**2",
     "to_second = (1 - time) ** 2 * forward - time * (1 - time)": "to_second = -(1 - time) ** 2 * forward + time * ("
     "1 - time)"},
    says="Things go backwards: both flows have the wrong sign, and point to where things go instead of where they are fetched.",
)  # fmt: skip
frames_by_one_flow = edited(
    reference.interpolate_frames,
    {"-(1 - time) * time * forward + time**2 * backward": "-time * forward",
     "(1 - time) ** 2 * forward - time * (1 - time) * backward": "(1 - time) * forward"},
    says="`backward` has no effect: both of the given flows say something about the way, and the formula joins them.",
)  # fmt: skip
frames_by_the_nearest_flow = edited(
    reference.interpolate_frames,
    {"-(1 - time) * time * forward + time**2 * backward": "time * backward",
     "(1 - time) ** 2 * forward - time * (1 - time) * backward": "(1 - time) * forward"},
    says="Each frame is fetched by one of the given flows alone: the formula joins both of them.",
)  # fmt: skip
frames_with_whole_flows = edited(
    reference.interpolate_frames,
    {"-(1 - time) * time * forward + time**2 * backward": "backward",
     "(1 - time) ** 2 * forward - time * (1 - time) * backward": "forward"},
    says="Things are moved by the whole way at once: how much of it has been gone at this time does not matter.",
)  # fmt: skip
frames_with_the_flows_exchanged = edited(
    reference.interpolate_frames,
    {"warp(first, to_first)": "warp(first, to_second)", "warp(second, to_second)": "warp(second, to_first)"},
    says="Each frame is fetched by the flow that leads to the other one.",
)

# ---- kl_to_prior

kl_to_the_standard_normal = edited(
    reference.kl_to_prior,
    {"logvar - prior_logvar": "logvar", "(mu - prior_mu).square() / prior_logvar.exp()": "mu.square()"},
    says="The prior's mean and variance have no effect: this is the divergence from the standard normal distribution.",
)
kl_the_other_way_round = edited(
    reference.kl_to_prior,
    {"logvar - prior_logvar": "prior_logvar - logvar", "/ prior_logvar.exp()": "/ logvar.exp()"},
    says="Posterior and prior are exchanged: the divergence is not symmetric, and the expectation is under the posterior.",
)
kl_without_half = edited(
    reference.kl_to_prior,
    {" / 2": ""},
    says="Every value is twice what it should be: the ½ in front is missing.",
)
kl_averaged = edited(
    reference.kl_to_prior,
    {".sum(dim=1)": ".mean(dim=1)"},
    says="Every value is too small by the number of latent dimensions: over these a sum was asked for.",
)
kl_of_unscaled_distances = edited(
    reference.kl_to_prior,
    {" / prior_logvar.exp()": ""},
    says="How far the means are apart is not measured in units of the prior's variance.",
)
kl_with_logvar_for_sigma = edited(
    reference.kl_to_prior,
    {
        "ratio = logvar - prior_logvar": "ratio = 2 * (logvar - prior_logvar)",
        "prior_logvar.exp()": "(2 * prior_logvar).exp()",
    },
    says="logvar is taken for the logarithm of σ: it is that of σ².",
)
kl_without_the_logarithm = edited(
    reference.kl_to_prior,
    {" - 1 - ratio": " - 1"},
    says="Narrow posteriors cost too little: the logarithm of the two variances' ratio is missing.",
)
kl_to_a_prior_that_does_not_learn = edited(
    reference.kl_to_prior,
    {"logvar - prior_logvar": "logvar - prior_logvar.detach()", "mu - prior_mu": "mu - prior_mu.detach()",
     "prior_logvar.exp()": "prior_logvar.detach().exp()"},
    says="No gradient flows to the prior: a prior that depends on the condition has to learn, too.",
)  # fmt: skip
kl_of_the_whole_batch = edited(
    reference.kl_to_prior,
    {".sum(dim=1)": ".sum(dim=1).mean()"},
    says="One number came for the whole batch: each data point has its own divergence.",
)

# ---- conditional_elbo

bound_without_kl = edited(
    reference.conditional_elbo,
    {" - kl(mu, logvar, *prior(condition))": ""},
    says="A posterior far from the prior costs nothing: the KL divergence is missing.",
)
bound_plus_kl = edited(
    reference.conditional_elbo,
    {" - kl(mu": " + kl(mu"},
    says="A posterior far from the prior raises the bound: the KL divergence is added, where it has to be paid.",
)
bound_to_the_standard_normal = edited(
    reference.conditional_elbo,
    {"*prior(condition)": "torch.zeros_like(mu), torch.zeros_like(logvar)"},
    says="The prior network has no effect: the posterior is held to the standard normal, as in a VAE without a condition.",
)
bound_with_the_prior_first = edited(
    reference.conditional_elbo,
    {"kl(mu, logvar, *prior(condition))": "kl(*prior(condition), mu, logvar)"},
    says="Prior and posterior are exchanged in the KL divergence: it is that of the posterior from the prior.",
)
bound_with_codes_of_the_prior = edited(
    reference.conditional_elbo,
    {"z = mu + (logvar / 2).exp() * noise": "p = prior(condition)\n    z = p[0] + (p[1] / 2).exp() * noise"},
    says="The code is drawn from the prior: that is for generating. In training it comes from the posterior.",
)
bound_with_variance_for_deviation = edited(
    reference.conditional_elbo,
    {"(logvar / 2).exp()": "logvar.exp()"},
    says="The noise is scaled by the variance, where the standard deviation was asked for.",
)
bound_without_noise = edited(
    reference.conditional_elbo,
    {"z = mu + (logvar / 2).exp() * noise": "z = mu"},
    says="The noise has no effect: the decoder always gets the posterior's mean.",
)
bound_with_a_leak = edited(
    reference.conditional_elbo,
    {"decoder(z, condition)": "decoder(z, target)"},
    says="The decoder is shown the target in the place of the condition: it may only see that through the code.",
)
bound_with_a_prior_that_knows = edited(
    reference.conditional_elbo,
    {"prior(condition)": "prior(target)"},
    says="The prior is shown the target: when clips are made it has nothing but the condition.",
)
bound_with_a_detached_code = edited(
    reference.conditional_elbo,
    {"decoder(z, condition)": "decoder(z.detach(), condition)"},
    says="The encoder does not learn what the decoder needs: the code is cut off from its graph.",
)
bound_with_a_prior_that_does_not_learn = edited(
    reference.conditional_elbo,
    {"*prior(condition)": "*(part.detach() for part in prior(condition))"},
    says="No gradient flows to the prior: it would stay as it was drawn at the beginning.",
)
bound_with_the_sign_flipped = edited(
    reference.conditional_elbo,
    {"return log_likelihood(decoder(z, condition), target) - kl(mu, logvar, *prior(condition))": "return kl(mu, logvar, "
     "*prior(condition)) - log_likelihood(decoder(z, condition), target)"},
    says="The sign is flipped: this is the loss, minus the bound.",
)  # fmt: skip

# ---- pick_frames

frames_time_after_time = edited(
    reference.pick_frames,
    {".flatten(0, 1)": ".transpose(0, 1).flatten(0, 1)"},
    says="The images come in the wrong order: first all frames of the first clip, then those of the second.",
)
frames_at_the_first_clips_times = edited(
    reference.pick_frames,
    {"[clips, times]": "[clips, times[:1]]"},
    says="Every clip is asked for the frames of the first one: each has its own row of times.",
)
frames_that_are_scrambled = edited(
    reference.pick_frames,
    {"videos.transpose(1, 2)": "videos.reshape(len(videos), videos.shape[2], videos.shape[1], *videos.shape[3:])"},
    says="Channels and frames get mixed up: reading numbers in another shape is not exchanging two dimensions.",
)
frames_counted_from_one = edited(
    reference.pick_frames,
    {"[clips, times]": "[clips, times - 1]"},
    says="The frame before the one that was asked for comes: counting begins at 0.",
)
frames_in_order = edited(
    reference.pick_frames,
    {"[clips, times]": "[clips, times.sort(1).values]"},
    says="The times are brought into order: the frames come in the order in which they are asked for.",
)
frames_that_are_cut_off = edited(
    reference.pick_frames,
    {".flatten(0, 1)": ".flatten(0, 1).detach()"},
    says="No gradient flows back to the clips: a generator could not learn from these images.",
)

# ---- video_gan_losses

gan_without_a_margin = edited(
    reference.video_gan_losses,
    {"F.relu(1 - real).mean() + F.relu(1 + fake).mean()": "(1 - real).mean() + (1 + fake).mean()"},
    says="Critics that are sure and right go on learning: what is beyond the margin should cost nothing.",
)
gan_with_exchanged_roles = edited(
    reference.video_gan_losses,
    {"F.relu(1 - real)": "F.relu(1 + real)", "F.relu(1 + fake)": "F.relu(1 - fake)"},
    says="The critics learn to give what is real low scores and what is generated high ones: two signs are exchanged.",
)
gan_with_a_hinge_for_the_generator = edited(
    reference.video_gan_losses,
    {"-frame_weight * fake_frames.mean() - fake_clips.mean()": "frame_weight * F.relu(1 - fake_frames).mean() + F.relu("
     "1 - fake_clips).mean()"},
    says="The generator's loss has a hinge, too: it should be minus the mean score, without a margin.",
)  # fmt: skip
gan_with_weighted_clips = edited(
    reference.video_gan_losses,
    {"frame_weight * critics[0] + critics[1], -frame_weight * fake_frames.mean() - fake_clips": "critics[0] + "
     "frame_weight * critics[1], -fake_frames.mean() - frame_weight * fake_clips"},
    says="The weight stands at the clips, where it was asked for at the frames.",
)  # fmt: skip
gan_without_weight_for_the_generator = edited(
    reference.video_gan_losses,
    {"-frame_weight * fake_frames": "-fake_frames"},
    says="The weight of the frames counts for the critics only: the generator's loss needs it, too.",
)
gan_with_all_scores_together = edited(
    reference.video_gan_losses,
    {"((real_frames, fake_frames), (real_clips, fake_clips))": "((torch.cat([real_frames, real_clips]), torch.cat(["
     "fake_frames, fake_clips])),) * 2"},
    says="Frames and clips are averaged together: each critic has its own mean.",
)  # fmt: skip
gan_added_up = edited(
    reference.video_gan_losses,
    {"F.relu(1 - real).mean() + F.relu(1 + fake).mean()": "F.relu(1 - real).sum() + F.relu(1 + fake).sum()",
     "fake_frames.mean()": "fake_frames.sum()", "fake_clips.mean()": "fake_clips.sum()"},
    says="The losses grow with the number of scores: they are added up, where means were asked for.",
)  # fmt: skip
gan_with_half = edited(
    reference.video_gan_losses,
    {"F.relu(1 - real).mean() + F.relu(1 + fake).mean()": "(F.relu(1 - real).mean() + F.relu(1 + fake).mean()) / 2"},
    says="The critics' loss is half of what it should be: real and generated examples are averaged, where a sum was asked for.",
)
gan_by_logistic_losses = edited(
    reference.video_gan_losses,
    {"F.relu(1 - real).mean() + F.relu(1 + fake).mean()": "F.softplus(-real).mean() + F.softplus(fake).mean()",
     "-frame_weight * fake_frames.mean() - fake_clips.mean()": "frame_weight * F.softplus(-fake_frames).mean() + "
     "F.softplus(-fake_clips).mean()"},
    says="These are the losses of the original game, with logarithms: hinge losses were asked for.",
)  # fmt: skip
gan_with_the_generator_first = edited(
    reference.video_gan_losses,
    {"return frame_weight * critics[0] + critics[1], -frame_weight * fake_frames.mean() - fake_clips.mean()": "return "
     "-frame_weight * fake_frames.mean() - fake_clips.mean(), frame_weight * critics[0] + critics[1]"},
    says="The generator's loss comes first: the pair begins with the critics'.",
)  # fmt: skip

# ---- CausalConv3d

PAST = "before = x[:, :, :1].expand(-1, -1, frames - 1, -1, -1)"
conv_around_the_present = edited(
    reference.CausalConv3d,
    {PAST: "k = frames - 1", "torch.cat([before, x], dim=2)": "torch.cat([x[:, :, :1]] * (k - k // 2) + [x] + [x[:, :, -1:]] "
     "* (k // 2), dim=2)"},
    says="A frame depends on later ones: the kernel is centred in time, too.",
)  # fmt: skip
conv_of_the_future = edited(
    reference.CausalConv3d,
    {PAST: "after = x[:, :, -1:].expand(-1, -1, frames - 1, -1, -1)", "[before, x]": "[x, after]"},
    says="A frame depends on later ones only: what is added belongs before the first frame, not after the last.",
)
conv_with_black_before = edited(
    reference.CausalConv3d,
    {PAST: "before = torch.zeros_like(x[:, :, :1]).expand(-1, -1, frames - 1, -1, -1)"},
    says="A still scene begins with a jolt: before the beginning there is black, where the first frame was to be repeated.",
)
conv_with_the_clip_before = edited(
    reference.CausalConv3d,
    {PAST: "before = x[:, :, 1:frames].flip(2)"},
    says="Before the beginning the clip is mirrored, where its first frame was to be repeated.",
)
conv_one_frame_too_far = edited(
    reference.CausalConv3d,
    {"frames - 1, -1, -1)": "frames, -1, -1)"},
    says="The output has a frame too many, and never looks at the present: one frame less has to be repeated.",
)
conv_with_grey_around = edited(
    reference.CausalConv3d,
    {
        "return F.conv3d(x, self.weight, self.bias, self.stride, padding=(0, rows // 2, columns // 2))": "x = F.pad(x, ("
        'columns // 2, columns // 2, rows // 2, rows // 2, 0, 0), mode="replicate")\n        '
        "return F.conv3d(x, self.weight, self.bias, self.stride)"
    },
    says="Around the frame its outermost pixels are repeated, as before the beginning in time: in space there are zeros.",
)
conv_without_strides = edited(
    reference.CausalConv3d,
    {"self.bias, self.stride, padding": "self.bias, padding"},
    says="Strides have no effect: the output is as large as the input.",
)
conv_that_strides_before_it_looks = edited(
    reference.CausalConv3d,
    {PAST: "before = x[:, :, :1].expand(-1, -1, max(frames - self.stride[0], 0), -1, -1)"},
    says="With strides in time other frames are kept: whatever the strides, k − 1 frames go before the first.",
)
conv_backwards = edited(
    reference.CausalConv3d,
    {"F.conv3d(x, self.weight, ": "F.conv3d(x, self.weight.flip(2), "},
    says="The kernel lies the wrong way round in time: its last slice is for the present.",
)

# ---- axial_attention

attention_with_axes_exchanged = edited(
    reference.axial_attention,
    {'{"time": 1, "height": 2, "width": 3}': '{"time": 1, "height": 3, "width": 2}'},
    says="Height and width are mistaken for each other: lines along the height go through the rows.",
)
attention_among_all_places = edited(
    reference.axial_attention,
    {
        "    if mask is not None:\n": "    if mask is None:\n"
        "        flat = [x.flatten(1, 3) for x in (query, key, value)]\n"
        "        return F.scaled_dot_product_attention(*flat).view_as(value).movedim(3, dim)\n"
        "    if mask is not None:\n"
    },
    says="Places of other lines are looked at: along one axis, the other two coordinates stay what they are.",
)
attention_without_scale = edited(
    reference.axial_attention,
    {" / math.sqrt(query.shape[4])": ""},
    says="The weights are too sharp: the products are not divided by the root of the number of features.",
)
attention_scaled_too_much = edited(
    reference.axial_attention,
    {"math.sqrt(query.shape[4])": "query.shape[4]"},
    says="The weights are too flat: the products are divided by the number of features, not by its root.",
)
attention_with_the_mask_turned = edited(
    reference.axial_attention,
    {"masked_fill(~mask, -math.inf)": "masked_fill(~mask.T, -math.inf)"},
    says="The mask is transposed: its rows belong to those who look, its columns to those who are looked at.",
)
attention_with_the_mask_inverted = edited(
    reference.axial_attention,
    {"masked_fill(~mask, -math.inf)": "masked_fill(mask, -1e9)"},
    says="Places may look exactly where they must not: True marks what is allowed.",
)
attention_masked_too_late = edited(
    reference.axial_attention,
    {
        "scores = scores.masked_fill(~mask, -math.inf)": "return ((scores.softmax(dim=4) * mask) @ value).movedim(3, dim)"
    },
    says="With a mask the weights do not add up to 1: they are taken away after the softmax, where scores had to go before it.",
)
attention_with_a_weak_mask = edited(
    reference.axial_attention,
    {"masked_fill(~mask, -math.inf)": "masked_fill(~mask, 0.0)"},
    says="Masked places still get some weight: a score of 0 is a score like any other.",
)
attention_that_shares_among_queries = edited(
    reference.axial_attention,
    {"scores.softmax(dim=4)": "scores.softmax(dim=3)"},
    says="The weights of a place do not add up to 1: the softmax runs over those who look, not over those who are looked at.",
)
attention_that_comes_back_turned = edited(
    reference.axial_attention,
    {
        "return (scores.softmax(dim=4) @ value).movedim(3, dim)": "size = list(value.shape)\n"
        "    size.insert(dim, size.pop(3))\n"
        "    return (scores.softmax(dim=4) @ value).reshape(size)"
    },
    says="What was gathered lands at other places: the axis is not moved back to where it was, the numbers are only read in "
    "the old shape.",
)

# ---- vector_quantize

quantized_without_a_bridge = edited(
    reference.vector_quantize,
    {"return z + step, indices": "return codebook[indices], indices"},
    says="No gradient reaches z, and one reaches the codebook: looking a code up has to be bridged.",
)
quantized_with_two_ways = edited(
    reference.vector_quantize,
    {"return z + step, indices": "return z + codebook[indices] - z.detach(), indices"},
    says="The codebook gets a gradient, too: only z should, the loss of the codebook being another matter.",
)
quantized_and_cut_off = edited(
    reference.vector_quantize,
    {"return z + step, indices": "return (z + step).detach(), indices"},
    says="No gradient flows back to z: the encoder could not learn.",
)
quantized_to_themselves = edited(
    reference.vector_quantize,
    {"return z + step, indices": "return z + 0 * step, indices"},
    says="The vectors come back as they were: they are not replaced by codes.",
)
quantized_to_the_farthest = edited(
    reference.vector_quantize,
    {".argmin(dim=1)": ".argmax(dim=1)"},
    says="Each vector gets the code that is farthest away.",
)
quantized_by_products = edited(
    reference.vector_quantize,
    {".argmin(dim=1)": ".argmin(dim=1)\n        indices = (z.reshape(-1, z.shape[-1]) @ codebook.T).argmax(dim=1)"},
    says="Long codes are preferred: the largest product is looked for, where the smallest distance was asked for.",
)
quantized_by_angles = edited(
    reference.vector_quantize,
    {".argmin(dim=1)": ".argmin(dim=1)\n        indices = (z.reshape(-1, z.shape[-1]) @ F.normalize(codebook, dim=1).T)"
     ".argmax(dim=1)"},
    says="Only the direction of the codes counts: their distance was asked for.",
)  # fmt: skip
quantized_by_half_a_distance = edited(
    reference.vector_quantize,
    {".argmin(dim=1)": ".argmin(dim=1)\n        flat = z.reshape(-1, z.shape[-1])\n        indices = (codebook.square()"
     ".sum(1) - flat @ codebook.T).argmin(dim=1)"},
    says="The squared distance is written out with a factor missing: twice the product has to be taken off.",
)  # fmt: skip
quantized_by_city_blocks = edited(
    reference.vector_quantize,
    {"codebook[None], ": "codebook[None], p=1.0, "},
    says="Distances are sums of sizes: Euclidean ones were asked for.",
)
# ---- vq_loss

vq_averaged_over_features = edited(
    reference.vq_loss,
    {"(z.detach() - nearest).square().sum(dim=-1)": "(z.detach() - nearest).square().mean(dim=-1)",
     "(z - nearest.detach()).square().sum(dim=-1)": "(z - nearest.detach()).square().mean(dim=-1)"},
    says="The loss is too small by the number of features: over the last dimension a sum was asked for.",
)  # fmt: skip
vq_without_stops = edited(
    reference.vq_loss,
    {"z.detach() - nearest": "z - nearest", "z - nearest.detach()": "z - nearest"},
    says="Both terms draw on both sides: each is to move one of them, and gradients are to stop at the other.",
)
vq_with_beta_at_the_codebook = edited(
    reference.vq_loss,
    {"codebook + beta * commitment": "beta * codebook + commitment"},
    says="β weighs the codebook's term: it belongs to the commitment, which moves the encoder.",
)
vq_without_commitment = edited(
    reference.vq_loss,
    {"codebook + beta * commitment": "codebook"},
    says="Nothing draws the encoder's vectors to the codes: the commitment is missing.",
)
vq_without_codebook = edited(
    reference.vq_loss,
    {"codebook + beta * commitment": "beta * commitment"},
    says="Nothing draws the codes to the encoder's vectors: the first term is missing.",
)
vq_with_beta_everywhere = edited(
    reference.vq_loss,
    {"codebook + beta * commitment": "beta * (codebook + commitment)"},
    says="β weighs both terms: it belongs to the commitment alone.",
)
vq_added_up = edited(
    reference.vq_loss,
    {".mean()": ".sum()"},
    says="The loss grows with the number of positions: over these a mean was asked for.",
)
vq_of_distances = edited(
    reference.vq_loss,
    {"(codebook + beta * commitment)": "(codebook.sqrt() + beta * commitment.sqrt())"},
    says="Distances are added up, where their squares were asked for.",
)

# ---- codebook_perplexity

perplexity_as_an_entropy = edited(
    reference.codebook_perplexity,
    {".sum().exp()": ".sum()"},
    says="This is the entropy: the perplexity is e to its power.",
)
perplexity_in_two_units = edited(
    reference.codebook_perplexity,
    {".sum().exp()": ".sum().exp2()"},
    says="The entropy is in nats, and 2 is raised to it: both have to have the same base.",
)
perplexity_as_a_count = edited(
    reference.codebook_perplexity,
    {"torch.special.entr(share).sum().exp().item()": "float((share > 0).sum())"},
    says="Rare codes count as much as frequent ones: this is the number of codes that occur.",
)
perplexity_of_squares = edited(
    reference.codebook_perplexity,
    {"torch.special.entr(share).sum().exp().item()": "(1 / share.square().sum()).item()"},
    says="This is one over the sum of the squared shares, which is another measure than the entropy's.",
)
perplexity_of_unused_codes = edited(
    reference.codebook_perplexity,
    {"torch.special.entr(share).sum()": "(-share * share.log()).sum()"},
    says="Codes that never occur give NaN: 0 times the logarithm of 0.",
)
perplexity_as_a_share = edited(
    reference.codebook_perplexity,
    {".exp().item()": ".exp().item() / codes"},
    says="The number is divided by the size of the codebook: how many codes are in use was asked for, not which share.",
)
perplexity_with_the_sign_flipped = edited(
    reference.codebook_perplexity,
    {"torch.special.entr(share).sum()": "torch.special.entr(share).sum().neg()"},
    says="The more codes are in use, the smaller the number: the sign of the entropy is flipped.",
)

# ---- video_tokens

tokens_without_offset = edited(
    reference.video_tokens,
    {" + offset": ""},
    says="Codes and words share tokens: `offset` is not added.",
)
tokens_column_by_column = edited(
    reference.video_tokens,
    {"codes.flatten(1)": "codes.transpose(2, 3).flatten(1)"},
    says="A frame is read column after column: rows come one after the other.",
)
tokens_place_by_place = edited(
    reference.video_tokens,
    {"codes.flatten(1)": "codes.movedim(1, 3).flatten(1)"},
    says="All times of one place come first: frame after frame is read.",
)
tokens_backwards = edited(
    reference.video_tokens,
    {"codes.flatten(1) + offset": "offset - codes.flatten(1)"},
    says="Codes are taken off the offset: they land among the words.",
)
tokens_one_further = edited(
    reference.video_tokens,
    {" + offset": " + offset + 1"},
    says="All tokens are one too large: code 0 has the token `offset`.",
)

# ---- video_from_tokens

codes_with_the_offset = edited(
    reference.video_from_tokens,
    {"(tokens - offset)": "tokens"},
    says="The codes are too large: the offset is not taken off.",
)
codes_column_by_column = edited(
    reference.video_from_tokens,
    {".unflatten(1, shape)": ".unflatten(1, (shape[0], shape[2], shape[1])).transpose(2, 3)"},
    says="A frame is filled column after column: rows come one after the other.",
)
codes_place_by_place = edited(
    reference.video_from_tokens,
    {".unflatten(1, shape)": ".unflatten(1, (*shape[1:], shape[0])).movedim(3, 1)"},
    says="All times of one place are filled first: frame after frame is written.",
)
codes_of_any_length = edited(
    reference.video_from_tokens,
    {"    if tokens.shape[1] != math.prod(shape):": "    tokens = tokens.repeat(1, -(-math.prod(shape) // tokens.shape[1]))"
     "[:, : math.prod(shape)]\n    if tokens.shape[1] != math.prod(shape):"},
    says="A sentence that is too long is cut, and one that is too short is filled up: both should be refused.",
)  # fmt: skip
codes_in_another_batch = edited(
    reference.video_from_tokens,
    {
        "tokens.shape[1] != math.prod(shape)": "tokens.numel() % math.prod(shape)",
        ".unflatten(1, shape)": ".view(-1, *shape)",
    },
    says="A sentence twice as long gives twice as many clips: it should be refused, for it does not fit the grid.",
)
codes_with_words = edited(
    reference.video_from_tokens,
    {"(tokens < offset).any()": "False"},
    says="Words among the tokens give negative codes: they should be refused.",
)
codes_with_some_words = edited(
    reference.video_from_tokens,
    {".any()": ".all()"},
    says="A word among the tokens passes as long as another token is none: a single one is to be refused.",
)

# ---- next_token_loss

loss_of_the_caption = edited(
    reference.next_token_loss,
    {"(positions >= text_lengths[:, None]) & ": ""},
    says="The caption is scored as well: it is read, and only the video is learnt.",
)
loss_without_a_shift = edited(
    reference.next_token_loss,
    {"positions = torch.arange(1, tokens.shape[1]": "positions = torch.arange(tokens.shape[1]",
     "tokens[:, 1:] != padding": "tokens != padding", "logits[:, :-1][scored]": "logits[scored]",
     "tokens[:, 1:][scored]": "tokens[scored]"},
    says="The scores at a position are compared with the token that stands there: they are about the next one.",
)  # fmt: skip
loss_without_the_first_token = edited(
    reference.next_token_loss,
    {"positions >= text_lengths": "positions > text_lengths"},
    says="The first token of the video is not scored: the last word of the caption foretells it.",
)
loss_with_the_last_word = edited(
    reference.next_token_loss,
    {"positions >= text_lengths[:, None]": "positions >= text_lengths[:, None] - 1"},
    says="The last word of the caption is scored: the video begins after it.",
)
loss_of_padding = edited(
    reference.next_token_loss,
    {" & (tokens[:, 1:] != padding)": ""},
    says="Padding is scored as if it were video.",
)
loss_with_one_length_for_all = edited(
    reference.next_token_loss,
    {"text_lengths[:, None]": "text_lengths[0]"},
    says="All captions are taken to be as long as the first one.",
)
loss_averaged_row_by_row = edited(
    reference.next_token_loss,
    {"return F.cross_entropy(logits[:, :-1][scored], tokens[:, 1:][scored])": "cost = F.cross_entropy(logits[:, :-1]"
     '.transpose(1, 2), tokens[:, 1:], reduction="none") * scored\n'
     "    return (cost.sum(1) / scored.sum(1).clamp(min=1)).mean()"},
    says="A token of a short row counts more than one of a long row: the mean is over all tokens of the batch.",
)  # fmt: skip
loss_averaged_over_all_positions = edited(
    reference.next_token_loss,
    {"return F.cross_entropy(logits[:, :-1][scored], tokens[:, 1:][scored])": "cost = F.cross_entropy(logits[:, :-1]"
     '.transpose(1, 2), tokens[:, 1:], reduction="none") * scored\n'
     "    return cost.mean()"},
    says="Captions and padding count as tokens that cost nothing: the mean is over those that are scored.",
)  # fmt: skip
loss_added_up = edited(
    reference.next_token_loss,
    {"tokens[:, 1:][scored])": 'tokens[:, 1:][scored], reduction="sum")'},
    says="The loss grows with the number of tokens: a mean was asked for.",
)
loss_of_probabilities = edited(
    reference.next_token_loss,
    {"logits[:, :-1][scored],": "logits[:, :-1][scored].softmax(-1),"},
    says="The softmax is taken twice: however sure the model is, the loss stays away from 0.",
)

# ---- sample_video

sampled_words = edited(
    reference.sample_video,
    {"logits = model(tokens)[:, -1, offset:] / temperature": "logits = model(tokens)[:, -1] / temperature",
     "cumulative = logits.softmax(dim=1).cumsum(dim=1)": "cumulative = logits.softmax(dim=1)[:, offset:].cumsum(dim=1)"},
    says="Words take some of the probability: the softmax should be over codes only, for nothing else can follow.",
)  # fmt: skip
sampled_from_the_first_position = edited(
    reference.sample_video,
    {"model(tokens)[:, -1, offset:]": "model(tokens)[:, 0, offset:]"},
    says="The scores of the first position are read: those of the last one are about the next token.",
)
sampled_without_temperature = edited(
    reference.sample_video,
    {" / temperature": ""},
    says="The temperature has no effect.",
)
sampled_with_the_temperature_inverted = edited(
    reference.sample_video,
    {" / temperature": " * temperature"},
    says="The lower the temperature, the less sure the choice: scores are divided by it, not multiplied.",
)
sampled_with_cooled_probabilities = edited(
    reference.sample_video,
    {"[:, -1, offset:] / temperature": "[:, -1, offset:]", "cumulative = logits.softmax(dim=1)": "cumulative = (logits"
     ".softmax(dim=1) / temperature).clamp(max=1)"},
    says="Probabilities are divided by the temperature, and no longer add up to 1: it is for the scores, before the softmax.",
)  # fmt: skip
sampled_by_the_largest = edited(
    reference.sample_video,
    {"(cumulative <= draws[:, column, None]).sum(dim=1).clamp(max=cumulative.shape[1] - 1)": "logits.argmax(dim=1)"},
    says="Always the likeliest code is taken: the numbers in `uniform` have no effect.",
)
sampled_without_the_caption = edited(
    reference.sample_video,
    {"model(tokens)": "model(tokens[:, text.shape[1] :] if column else text[:, -1:])"},
    says="The model does not read the caption: it should stand before the clip at every call.",
)
sampled_with_codes_for_tokens = edited(
    reference.sample_video,
    {"code[:, None] + offset": "code[:, None]", "to_codes(tokens[:, text.shape[1] :]": "to_codes(tokens[:, text.shape[1] :] + "
     "offset"},
    says="The model reads codes where it should read tokens: the offset is missing in what it is shown.",
)  # fmt: skip
sampled_with_one_number_for_all = edited(
    reference.sample_video,
    {"draws[:, column, None]": "draws[:, :1]"},
    says="All codes of a clip are drawn with the same number: each has its own in `uniform`.",
)
sampled_without_given_frames = edited(
    reference.sample_video,
    {"tokens = torch.cat([text, to_tokens(given, offset)], dim=1)": "tokens = text"},
    says="Given frames have no effect: all frames are drawn.",
)
sampled_over_given_frames = edited(
    reference.sample_video,
    {"draws[:, column, None]": "draws[:, column - drawn, None]"},
    says="With given frames the numbers are read from the beginning: each code has its own, also where the first go unused.",
)
sampled_with_too_many_calls = edited(
    reference.sample_video,
    {"            logits = model(tokens)": "            model(tokens)\n            logits = model(tokens)"},
    says="The model is asked more often than there are codes to draw.",
)
