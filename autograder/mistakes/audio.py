"""Known mistakes in `audio`."""

from autograder.mistakes import edited
from solutions import audio as reference

# ---- spectrogram

PADDED = "F.pad(sound, (len(window) // 2, len(window) // 2))"

spectrogram_with_mirrored_ends = edited(
    reference.spectrogram,
    {PADDED: 'F.pad(sound.unsqueeze(1), (len(window) // 2, len(window) // 2), mode="reflect").squeeze(1)'},
    says="The first and the last frames hear the sound mirrored at its ends: there should be zeros.",
)
spectrogram_without_padding = edited(
    reference.spectrogram,
    {PADDED: "sound"},
    says="There are too few frames: the first begins with the sound, where its middle should be.",
)
spectrogram_padded_at_the_end = edited(
    reference.spectrogram,
    {PADDED: "F.pad(sound, (0, len(window)))"},
    says="Everything is seen half a frame too early: frames begin where their middle should be, with all zeros at the end.",
)
spectrogram_without_window = edited(
    reference.spectrogram,
    {"frames * window": "frames"},
    says="The window changes nothing.",
)
spectrogram_of_magnitudes_only = edited(
    reference.spectrogram,
    {".abs().pow(power)": ".abs()"},
    says="Magnitudes come where power was asked for: `power` has no effect.",
)
spectrogram_of_power_only = edited(
    reference.spectrogram,
    {".abs().pow(power)": ".abs().square()"},
    says="Power comes where magnitudes were asked for: `power` has no effect.",
)
spectrogram_squared_twice = edited(
    reference.spectrogram,
    {".abs().pow(power)": ".abs().square().pow(power)"},
    says="The absolute value is squared before it is raised to the power: at a power of 2 the loud is far too loud.",
)
spectrogram_of_real_parts = edited(
    reference.spectrogram,
    {".abs().pow(power)": ".real.abs().pow(power)"},
    says="A tone comes and goes with its phase: only the real part of the transform is looked at.",
)
spectrogram_divided_by_the_width = edited(
    reference.spectrogram,
    {"torch.fft.rfft(frames * window)": 'torch.fft.rfft(frames * window, norm="forward")'},
    says="Every magnitude is divided by the width of a frame: the transform was asked for without any factor.",
)
spectrogram_of_unit_energy = edited(
    reference.spectrogram,
    {"torch.fft.rfft(frames * window)": 'torch.fft.rfft(frames * window, norm="ortho")'},
    says="Every magnitude is divided by the root of the width: the transform was asked for without any factor.",
)
spectrogram_of_the_whole_circle = edited(
    reference.spectrogram,
    {"torch.fft.rfft": "torch.fft.fft"},
    says="There are as many bins as samples in a frame: the upper half repeats the lower one and was not asked for.",
)
spectrogram_with_time_first = edited(
    reference.spectrogram,
    {".transpose(1, 2)": ""},
    says="Time stands before frequency.",
)
spectrogram_without_its_last_frame = edited(
    reference.spectrogram,
    {".transpose(1, 2)": ".transpose(1, 2)[:, :, :-1]"},
    says="The last frame is missing.",
)


# ---- mel_filterbank

MELS = "first, last = (2595 * torch.log10(1 + ends / 700)).tolist()"
CORNERS = "700 * (10 ** (torch.linspace(first, last, mels + 2, dtype=torch.float64) / 2595) - 1)"
RESULT = "torch.minimum(rise, fall).clamp(min=0).float()"

filters_evenly_spaced_in_hertz = edited(
    reference.mel_filterbank,
    {MELS: "first, last = ends.tolist()", CORNERS: "torch.linspace(first, last, mels + 2, dtype=torch.float64)"},
    says="The filters are equally wide in hertz: it is on the mel scale that they are.",
)
filters_of_equal_area = edited(
    reference.mel_filterbank,
    {RESULT: "(torch.minimum(rise, fall).clamp(min=0) * 2 / (right - left)).float()"},
    says="The peaks of wide filters are lower: the filters are divided by their width, and were asked for as they are.",
)
filters_on_another_mel_scale = edited(
    reference.mel_filterbank,
    {
        MELS: "bend = 1000.0\n"
        "    scaled = torch.where(ends < bend, 3 * ends / 200, 15 + 27 * torch.log(ends.clamp(min=1) / bend) / math.log(6.4))\n"
        "    first, last = scaled.tolist()",
        CORNERS: "torch.linspace(first, last, mels + 2, dtype=torch.float64)\n"
        "    corners = torch.where(corners < 15, 200 * corners / 3, bend * 6.4 ** ((corners - 15) / 27))",
    },
    says="The filters are those of another mel scale, straight up to 1000 hertz (Slaney's): HTK's was asked for.",
)
filters_straight_in_mels = edited(
    reference.mel_filterbank,
    {
        CORNERS: "torch.linspace(first, last, mels + 2, dtype=torch.float64)",
        "frequency = torch.linspace(0, rate / 2, bins, dtype=torch.float64)": "frequency = "
        "2595 * torch.log10(1 + torch.linspace(0, rate / 2, bins, dtype=torch.float64) / 700)",
    },
    says="The sides of the triangles are bent: they are straight over mels, and should be straight over hertz.",
)
filters_with_rounded_corners = edited(
    reference.mel_filterbank,
    {
        "left, peak, right =": "step = rate / (2 * (bins - 1))\n    corners = (corners / step).floor() * step\n"
        "    left, peak, right =",
        "(frequency - left) / (peak - left), (right - frequency) / (right - peak)": "(frequency - left) / "
        "(peak - left).clamp(min=1), (right - frequency) / (right - peak).clamp(min=1)",
    },
    says="The corners of the triangles lie on bins: they are rounded down, and should stay where they are.",
)
filters_without_low = edited(
    reference.mel_filterbank,
    {"torch.tensor([low, ": "torch.tensor([0.0, "},
    says="The first filter begins at 0 whatever `low` is.",
)
filters_without_high = edited(
    reference.mel_filterbank,
    {"rate / 2 if high is None else high": "rate / 2"},
    says="The last filter ends at half the rate whatever `high` is.",
)
filters_with_negative_weights = edited(
    reference.mel_filterbank,
    {".clamp(min=0)": ""},
    says="Weights are negative: outside its triangle a filter is 0.",
)
filters_up_to_the_rate = edited(
    reference.mel_filterbank,
    {"torch.linspace(0, rate / 2, bins": "torch.linspace(0, rate, bins"},
    says="All filters lie at half their place: the last bin stands for half the rate, not for the whole.",
)
filters_with_a_bin_too_many = edited(
    reference.mel_filterbank,
    {"torch.linspace(0, rate / 2, bins, dtype=torch.float64)": "torch.arange(bins).double() * rate / (2 * bins)"},
    says="The last bin lies below half the rate: there is one step less than there are bins.",
)
filters_by_bins_first = edited(
    reference.mel_filterbank,
    {".clamp(min=0).float()": ".clamp(min=0).float().T"},
    says="Bins stand before filters.",
)


# ---- log_mel

SUMS = "(filterbank.to(spectrum) @ spectrum)"

log_mel_with_the_floor_added = edited(
    reference.log_mel,
    {".clamp(min=floor).log()": ".add(floor).log()"},
    says="The floor is added to all that is heard: it should only replace what is less.",
)
log_mel_without_floor = edited(
    reference.log_mel,
    {".clamp(min=floor)": ""},
    says="Silence becomes −∞: the floor is not used.",
)
log_mel_to_the_base_ten = edited(
    reference.log_mel,
    {".log()": ".log10()"},
    says="Every value is 2.3 times too small: the logarithm has the base 10, and the natural one was asked for.",
)
log_mel_in_decibels = edited(
    reference.log_mel,
    {".log()": ".log10() * 10"},
    says="The values are decibels: the natural logarithm was asked for.",
)
log_mel_with_the_logarithm_first = edited(
    reference.log_mel,
    {SUMS + ".clamp(min=floor).log()": "filterbank.to(spectrum) @ spectrum.clamp(min=floor).log()"},
    says="The logarithm is taken in every bin, before the filters add bins up: it comes after them.",
)
log_mel_with_the_floor_in_each_bin = edited(
    reference.log_mel,
    {SUMS + ".clamp(min=floor).log()": "(filterbank.to(spectrum) @ spectrum.clamp(min=floor)).log()"},
    says="The floor is applied to each bin, before the filters: it belongs to what a filter lets pass.",
)
log_mel_of_means = edited(
    reference.log_mel,
    {SUMS: "(filterbank.to(spectrum) @ spectrum / filterbank.shape[1])"},
    says="Bins are averaged, where what passes a filter is a sum.",
)
log_mel_one_up = edited(
    reference.log_mel,
    {".clamp(min=floor).log()": ".clamp(min=floor).log1p()"},
    says="Everything is too high, the quiet most of all: 1 is added before the logarithm.",
)
log_mel_with_the_floor_afterwards = edited(
    reference.log_mel,
    {".clamp(min=floor).log()": ".log().clamp(min=floor)"},
    says="No value is less than the floor: it bounds the sums, before the logarithm is taken.",
)


# ---- griffin_lim

AGAIN = "torch.stft(sound, len(window), hop, window=window, "

lim_with_mirrored_ends = edited(
    reference.griffin_lim,
    {'pad_mode="constant"': 'pad_mode="reflect"'},
    says="The angles at both ends are those of a sound that is mirrored there: there should be zeros.",
)
lim_without_magnitudes = edited(
    reference.griffin_lim,
    {"torch.polar(magnitude, again.angle())": "again"},
    says="Iterations change nothing: the magnitudes that are wanted have to be put back each time.",
)
lim_of_power = edited(
    reference.griffin_lim,
    {"sound = inverse(torch.polar(magnitude, phase))": "magnitude = magnitude.sqrt()\n"
     "    sound = inverse(torch.polar(magnitude, phase))"},
    says="Loud parts are too quiet: a root is taken, as if power had been given.",
)  # fmt: skip
lim_with_angles_of_its_own = edited(
    reference.griffin_lim,
    {"torch.polar(magnitude, phase)": "torch.polar(magnitude, 6.28 * torch.rand_like(magnitude))"},
    says="The angles to start from are not those that were given: random ones are drawn.",
)
lim_from_zero_angles = edited(
    reference.griffin_lim,
    {"torch.polar(magnitude, phase)": "torch.polar(magnitude, torch.zeros_like(phase))"},
    says="It starts from angles of zero, whatever `phase` is.",
)
lim_with_one_iteration_more = edited(
    reference.griffin_lim,
    {"range(iterations)": "range(iterations + 1)"},
    says="There is one iteration too many: with none, the angles that are given are used as they are.",
)
lim_without_the_last_inverse = edited(
    reference.griffin_lim,
    {"range(iterations)": "range(iterations - 1)"},
    says="There is one iteration too few: the last angles are found, and no sound is made of them.",
)
lim_without_the_window = edited(
    reference.griffin_lim,
    {AGAIN: "torch.stft(sound, len(window), hop, "},
    says="On the way back no window is used, so that the angles belong to another transform than the magnitudes.",
)
lim_that_adds_angles_up = edited(
    reference.griffin_lim,
    {"sound = inverse(torch.polar(magnitude, again.angle()))": "phase = phase + again.angle()\n"
     "        sound = inverse(torch.polar(magnitude, phase))"},
    says="New angles are added to the old ones: they replace them.",
)  # fmt: skip
lim_in_a_hurry = edited(
    reference.griffin_lim,
    {
        "sound = inverse(torch.polar(magnitude, phase))\n": "sound, before = inverse(torch.polar(magnitude, phase)), 0\n",
        "sound = inverse(torch.polar(magnitude, again.angle()))": "ahead, before = again - 0.99 / 1.99 * before, again\n"
        "        sound = inverse(torch.polar(magnitude, ahead.angle()))",
    },
    says="This is the accelerated version of 2013, with momentum: from the second iteration on it goes another way.",
)
lim_that_divides_by_silence = edited(
    reference.griffin_lim,
    {"torch.polar(magnitude, again.angle())": "magnitude * again / again.abs()"},
    says="Silence becomes NaN: where nothing is, dividing by the size gives no angle.",
)
lim_without_its_least_squares = edited(
    reference.griffin_lim,
    {
        "return torch.istft(spectrum, len(window), hop, window=window, length=length)": "frames = torch.fft.irfft("
        "spectrum.mT, n=len(window)) * window\n"
        "        total = F.fold(frames.mT, (1, hop * (frames.shape[1] - 1) + len(window)), (1, len(window)), stride=(1, hop))\n"
        "        return F.pad(total[:, 0, 0], (0, length))[:, len(window) // 2 : len(window) // 2 + length]"
    },
    says="The sound swells where more frames overlap: the sum has to be divided by that of the squared windows.",
)


# ---- linear_prediction

prediction_with_the_sign_of_the_filter = edited(
    reference.linear_prediction,
    {"return torch.linalg.solve": "return -torch.linalg.solve"},
    says="The signs are those of the polynomial in the filter's denominator: the prediction adds its terms up.",
)
prediction_in_reverse = edited(
    reference.linear_prediction,
    {"torch.linalg.solve(matrix, r[:, 1:])": "torch.linalg.solve(matrix, r[:, 1:]).flip(1)"},
    says="The coefficients come in the reverse order: the first is for the sample just before.",
)
prediction_by_unbiased_lags = edited(
    reference.linear_prediction,
    {".sum(dim=1) for k": ".sum(dim=1) / (samples - k) for k"},
    says="Each lag is divided by its number of products, which is not the least-squares solution: sums were asked for.",
)
prediction_of_what_is_inside = edited(
    reference.linear_prediction,
    {
        "lags = [(sound[:, : samples - k] * sound[:, k:]).sum(dim=1) for k in range(order + 1)]\n": "past = "
        "torch.stack([sound[:, order - k : samples - k] for k in range(1, order + 1)], dim=2)\n",
        "    r = torch.stack(lags, dim=1)\n": "",
        "    places = torch.arange(order, device=sound.device)\n": "",
        "    matrix = r[:, (places[:, None] - places[None, :]).abs()]\n": "",
        "torch.linalg.solve(matrix, r[:, 1:])": "torch.linalg.lstsq("
        'past, sound[:, order:, None], driver="gelsd").solution[:, :, 0]',
    },
    says="Only samples with a whole past count (the covariance method): the sound is followed and preceded by silence.",
)
prediction_around_the_circle = edited(
    reference.linear_prediction,
    {"(sound[:, : samples - k] * sound[:, k:])": "(sound * sound.roll(-k, dims=1))"},
    says="The end of the sound is followed by its beginning: silence follows it.",
)
prediction_from_lag_zero = edited(
    reference.linear_prediction,
    {"torch.linalg.solve(matrix, r[:, 1:])": "torch.linalg.solve(matrix, r[:, :-1])"},
    says="A sample is predicted from itself: the right side begins with the lag 1, not 0.",
)
prediction_of_the_whole_batch = edited(
    reference.linear_prediction,
    {"r = torch.stack(lags, dim=1)": "r = torch.stack(lags, dim=1)\n    r = r.mean(dim=0).expand_as(r)"},
    says="All sounds of a batch get the same coefficients.",
)
prediction_with_something_added = edited(
    reference.linear_prediction,
    {"torch.linalg.solve(matrix, r": "torch.linalg.solve(matrix + 1e-2 * torch.eye(order).to(matrix), r"},
    says="Quiet sounds get smaller coefficients than loud ones: something is added to the diagonal.",
)
prediction_without_neighbours = edited(
    reference.linear_prediction,
    {"torch.linalg.solve(matrix, r[:, 1:])": "r[:, 1:] / r[:, :1]"},
    says="Each coefficient is a correlation by itself: with an order above 1 they have to be solved for together.",
)


# ---- encode_events

encoding_rounded_down = edited(
    reference.encode_events,
    {"round(begin * steps_per_second), round(end * steps_per_second)": "int(begin * steps_per_second), "
     "int(end * steps_per_second)"},
    says="Times are rounded down: the nearest step was asked for.",
)  # fmt: skip
encoding_with_one_pause_at_most = edited(
    reference.encode_events,
    {"whole, rest = divmod(step - now, 100)": "whole, rest = 0, min(step - now, 100)"},
    says="Pauses of more than 100 steps become shorter: they need several events.",
)
encoding_with_time_from_zero = edited(
    reference.encode_events,
    {"[355] * whole + [255 + rest]": "[356] * whole + [256 + rest]"},
    says="Every pause is one step too long: the first event for time stands for one step, not for none.",
)
encoding_with_empty_rests = edited(
    reference.encode_events,
    {" * (rest > 0)": " * (step > now)"},
    says="After a pause of exactly 100 steps stands an event that means something else: nothing is left to be written.",
)
encoding_with_every_velocity = edited(
    reference.encode_events,
    {"if beginning and velocity_bin != velocity_now": "if beginning"},
    says="Every beginning has an event of its velocity: it is written only where it changes.",
)
encoding_with_whole_velocities = edited(
    reference.encode_events,
    {"velocity // 4))": "velocity // 8))"},
    says="The bins of velocity are too coarse: there are 32 of them, four velocities in each.",
)
encoding_with_rounded_velocities = edited(
    reference.encode_events,
    {"velocity // 4))": "min(31, round(velocity / 4))))"},
    says="Velocities are rounded to the nearest bin: four go into each from 0 on.",
)
encoding_with_beginnings_first = edited(
    reference.encode_events,
    {"in sorted(changes)": "in sorted(changes, key=lambda change: (change[0], not change[1], change[2]))"},
    says="On one step beginnings come before ends: a repeated note would end as soon as it begins.",
)
encoding_of_high_pitches_first = edited(
    reference.encode_events,
    {"in sorted(changes)": "in sorted(changes, key=lambda change: (change[0], change[1], -change[2]))"},
    says="In a chord high pitches come before low ones.",
)
encoding_by_pitch_alone = edited(
    reference.encode_events,
    {"in sorted(changes)": "in sorted(changes, key=lambda change: (change[0], change[2], change[1]))"},
    says="On one step events come in the order of pitch, ends and beginnings mixed: all ends come first.",
)
encoding_without_cuts = edited(
    reference.encode_events,
    {"last = min(last, same[place + 1][0])": "last = last + 0"},
    says="When a pitch is struck again its first note does not end there, and its end cuts the second one short.",
)
encoding_of_notes_without_length = edited(
    reference.encode_events,
    {"max(last, first + 1)": "last"},
    says="A very short note ends on the step on which it begins: it should last for one step.",
)
encoding_at_a_hundred_steps = edited(
    reference.encode_events,
    {"round(begin * steps_per_second), round(end * steps_per_second)": "round(begin * 100), round(end * 100)"},
    says="Time is always measured in hundredths of a second: `steps_per_second` has no effect.",
)
encoding_with_the_velocity_late = edited(
    reference.encode_events,
    {
        "            events.append(356 + velocity_bin)\n            velocity_now = velocity_bin\n"
        "        events.append(pitch if beginning else 128 + pitch)": "            events.append(pitch)\n"
        "            pitch, velocity_now = 356 + velocity_bin, velocity_bin\n"
        "        events.append(pitch if beginning else 128 + pitch)"
    },
    says="The velocity comes just after the beginning that it is meant for, and would be that of the next note.",
)


# ---- decode_events

decoding_with_time_from_zero = edited(
    reference.decode_events,
    {"now += event - 255": "now += event - 256"},
    says="Every pause is one step too short: the first event for time stands for one step, not for none.",
)
decoding_into_bins = edited(
    reference.decode_events,
    {"velocity = 4 * (event - 356) + 2": "velocity = event - 356"},
    says="The velocities are numbers of bins, from 0 to 31: the middle of the bin was asked for.",
)
decoding_to_the_edge = edited(
    reference.decode_events,
    {"velocity = 4 * (event - 356) + 2": "velocity = 4 * (event - 356)"},
    says="Velocities are 2 too low: they are the least of their bin, and the middle was asked for.",
)
decoding_with_the_velocity_of_the_end = edited(
    reference.decode_events,
    {"now / steps_per_second, pitch, force))": "now / steps_per_second, pitch, velocity))"},
    says="A note has the velocity that holds when it ends: it is that of its beginning.",
)
decoding_without_what_still_sounds = edited(
    reference.decode_events,
    {"    for pitch in list(sounding):\n        end(pitch)\n": ""},
    says="Notes that still sound after the last event are missing.",
)
decoding_that_forgets = edited(
    reference.decode_events,
    {
        "            end(event)\n            sounding[event] = (now, velocity)": "            sounding[event] = (now, velocity)"
    },
    says="When a pitch begins again, the note that sounded is lost.",
)
decoding_that_goes_on = edited(
    reference.decode_events,
    {"            end(event)\n            sounding[event] = (now, velocity)": "            sounding.setdefault(event, "
     "(now, velocity))"},
    says="When a pitch begins again, the first note goes on: it should end there, and a new one begin.",
)  # fmt: skip
decoding_of_notes_without_length = edited(
    reference.decode_events,
    {"            if now > begin:\n    ": "            if now >= begin:\n    "},
    says="Notes that end on the step on which they began are not left out.",
)
decoding_that_stumbles = edited(
    reference.decode_events,
    {"        if pitch in sounding:\n            begin": "        if pitch in sounding or now:\n            begin"},
    says="The end of a pitch that does not sound stops everything: it should be passed over.",
)
decoding_in_steps = edited(
    reference.decode_events,
    {"(begin / steps_per_second, now / steps_per_second, pitch": "(begin / 100, now / 100, pitch"},
    says="A step always lasts a hundredth of a second: `steps_per_second` has no effect.",
)
decoding_in_order_of_ends = edited(
    reference.decode_events,
    {"sorted(notes, key=lambda note: (note[0], note[2]))": "notes"},
    says="The notes come in the order in which they end: they should be sorted by their start, then by pitch.",
)
decoding_sorted_by_ends = edited(
    reference.decode_events,
    {"sorted(notes, key=lambda note: (note[0], note[2]))": "sorted(notes)"},
    says="Notes that start together are sorted by their end: it is the pitch that comes next.",
)
decoding_with_silent_notes = edited(
    reference.decode_events,
    {"now, velocity = 0, 64": "now, velocity = 0, 0"},
    says="Before the first event of a velocity notes are silent: they have the velocity 64.",
)


# ---- relative_attention

TABLE = "table = query @ distances[-length:].T"

relative_with_near_first = edited(
    reference.relative_attention,
    {TABLE: "table = query @ distances[-length:].flip(0).T"},
    says="The nearest positions get the vectors of the farthest: the last row of `distances` is that of distance 0.",
)
relative_with_the_far_rows = edited(
    reference.relative_attention,
    {TABLE: "table = query @ distances[:length].T"},
    says="With more vectors than positions the wrong ones are used: those of short distances stand at the end.",
)
relative_without_the_skew = edited(
    reference.relative_attention,
    {"length + 1, length)[..., 1:, :]": "length, length + 1)[..., 1:]"},
    says="The vector belongs to the column of the table, whoever asks: the distances have to be skewed into place.",
)
relative_without_scaling = edited(
    reference.relative_attention,
    {" / math.sqrt(query.shape[-1])": ""},
    says="The larger the keys, the more one position takes all: the scores are not divided by anything.",
)
relative_divided_by_the_width = edited(
    reference.relative_attention,
    {"math.sqrt(query.shape[-1])": "query.shape[-1]"},
    says="The weights are too even: scores are divided by d_key, not by its root.",
)
relative_with_distances_unscaled = edited(
    reference.relative_attention,
    {
        "(query @ key.transpose(-1, -2) + skewed) / math.sqrt(query.shape[-1])": "query @ key.transpose(-1, -2) "
        "/ math.sqrt(query.shape[-1]) + skewed"
    },
    says="Distances weigh too much: only the products with the keys are divided by the root of d_key.",
)
relative_to_the_keys = edited(
    reference.relative_attention,
    {
        TABLE: "pairs = torch.arange(query.shape[-2])\n"
        "    back = (pairs[:, None] - pairs[None, :]).clamp(min=0)\n"
        "    vectors = distances[distances.shape[0] - 1 - back]",
        "    padded = F.pad(table, (1, 0))\n": "",
        "skewed = padded.reshape(*table.shape[:-2], length + 1, length)[..., 1:, :]": "skewed = (key.unsqueeze(-3) * vectors)"
        ".sum(-1)",
    },
    says="The vectors of distances are multiplied with the keys: it is the query that they are held against.",
)
relative_without_a_mask = edited(
    reference.relative_attention,
    {"scores.masked_fill(~before, -math.inf)": "scores"},
    says="Positions look at what comes later.",
)
relative_masked_afterwards = edited(
    reference.relative_attention,
    {"scores.masked_fill(~before, -math.inf).softmax(dim=-1)": "(scores.softmax(dim=-1) * before)"},
    says="The weights do not add up to 1: later positions still took their share when the softmax was computed.",
)
relative_with_a_soft_mask = edited(
    reference.relative_attention,
    {"scores.masked_fill(~before, -math.inf)": "(scores - 1e4 * ~before)"},
    says="A later position with a very high score still takes weight: a penalty on its score does not always suffice.",
)
relative_without_distances = edited(
    reference.relative_attention,
    {" + skewed)": " + 0 * skewed)"},
    says="Distances change nothing: this is plain causal attention.",
)
relative_without_content = edited(
    reference.relative_attention,
    {"(query @ key.transpose(-1, -2) + skewed)": "(0 * (query @ key.transpose(-1, -2)) + skewed)"},
    says="The keys change nothing: only distances count.",
)


# ---- allowed_events

rules_with_a_scale_for_ends = edited(
    reference.allowed_events,
    {"room & ~sounding, sounding, time": "room & ~sounding, inside & sounding, time"},
    says="A pitch outside the scale that sounds may never end: the scale is about beginnings.",
)
rules_without_a_scale = edited(
    reference.allowed_events,
    {"inside & room": "room"},
    says="Pitches outside the scale may begin.",
)
rules_for_one_octave = edited(
    reference.allowed_events,
    {"device=events.device) % 12": "device=events.device)"},
    says="Only the lowest octave may be played: it is the place in the octave that the scale is about.",
)
rules_with_one_voice_too_many = edited(
    reference.allowed_events,
    {"keepdim=True) < voices": "keepdim=True) <= voices"},
    says="One pitch more may sound than was said.",
)
rules_without_voices = edited(
    reference.allowed_events,
    {"inside & room": "inside"},
    says="Any number of pitches may sound at a time: `voices` has no effect.",
)
rules_that_count_beginnings = edited(
    reference.allowed_events,
    {
        'latest = latest.scatter_reduce(1, events.long().clamp(max=256), place, "amax")': "latest = latest.scatter_add("
        "1, events.long().clamp(max=256), torch.ones_like(place))"
    },
    says="Beginnings and ends are counted and compared: it is the last event about a pitch that says whether it sounds.",
)
rules_that_forget_ends = edited(
    reference.allowed_events,
    {"latest[:, :128] > latest[:, 128:256]": "latest[:, :128] > 0"},
    says="A pitch that began once sounds forever.",
)
rules_that_let_notes_begin_twice = edited(
    reference.allowed_events,
    {"room & ~sounding, sounding, time": "room, sounding, time"},
    says="A pitch that sounds may begin again.",
)
rules_that_let_anything_end = edited(
    reference.allowed_events,
    {"~sounding, sounding, time": "~sounding, sounding | True, time"},
    says="Pitches may end that do not sound.",
)
rules_with_any_velocity = edited(
    reference.allowed_events,
    {"events[:, -1:] < 356 if length else": "events[:, -1:] < 999 if length else"},
    says="A velocity may be set twice in a row.",
)
rules_with_one_velocity_ever = edited(
    reference.allowed_events,
    {"events[:, -1:] < 356 if length else": "(events < 356).all(dim=1, keepdim=True) if length else"},
    says="Once a velocity has been set none may follow: only just after one it is forbidden.",
)
rules_for_the_whole_batch = edited(
    reference.allowed_events,
    {"octave = ": "sounding = sounding.any(dim=0).expand_as(sounding)\n    octave = "},
    says="What sounds in one piece is taken to sound in all pieces of the batch.",
)


# ---- sample_music

CHOSEN = "chosen = (cumulative <= draw[:, None]).sum(dim=1, keepdim=True)"

music_by_the_book = edited(
    reference.sample_music,
    {CHOSEN: "chosen = logits.argmax(dim=1, keepdim=True) + 0 * draw[:, None].long()"},
    says="The likeliest event comes every time, whatever the number.",
)
music_without_rules = edited(
    reference.sample_music,
    {".masked_fill(~may, -math.inf)": "", "torch.minimum(chosen, last)": "chosen.clamp(max=may.shape[1] - 1)"},
    says="Forbidden events are drawn: the rules change nothing.",
)
music_masked_afterwards = edited(
    reference.sample_music,
    {
        ".masked_fill(~may, -math.inf)": "",
        "logits.softmax(dim=1).cumsum(dim=1)": "(logits.softmax(dim=1) * may).cumsum(dim=1)",
    },
    says="The probabilities of the allowed events do not add up to 1, so that the last one gets the rest.",
)
music_with_a_soft_mask = edited(
    reference.sample_music,
    {".masked_fill(~may, -math.inf)": " - 100.0 * ~may"},
    says="A model that is very certain of what is forbidden gets its way: a penalty does not always suffice.",
)
music_at_the_inverse_temperature = edited(
    reference.sample_music,
    {"/ temperature": "* temperature"},
    says="A high temperature makes the choice more certain: logits are multiplied by it.",
)
music_without_temperature = edited(
    reference.sample_music,
    {" / temperature": ""},
    says="The temperature has no effect.",
)
music_after_the_first_event = edited(
    reference.sample_music,
    {"model(events)[:, -1]": "model(events)[:, 0]"},
    says="The model's word on the first place is used: the last one is about the next event.",
)
music_without_memory = edited(
    reference.sample_music,
    {"model(events)": "model(events[:, -1:])"},
    says="The model is shown the last event only: it should be asked about all so far.",
)
music_with_the_first_rules = edited(
    reference.sample_music,
    {"may = allowed(events)": "may = allowed(start)"},
    says="The rules are asked about the beginning every time: what has been written since has to count.",
)
music_with_numbers_of_its_own = edited(
    reference.sample_music,
    {CHOSEN: "chosen = torch.multinomial(logits.softmax(dim=1), 1)"},
    says="The same numbers give different events: random ones are drawn, and those passed in go unused.",
)
music_without_its_beginning = edited(
    reference.sample_music,
    {"return events": "return events[:, start.shape[1] :]"},
    says="The events that were given are missing from the result.",
)
music_at_the_threshold = edited(
    reference.sample_music,
    {"cumulative <= draw": "cumulative < draw"},
    says="At the number 0 a forbidden event is drawn: the cumulative probability has to exceed the number.",
)

# ---- location_sensitive_attention

LOCATION = "F.conv1d(past.unsqueeze(1), filters.unsqueeze(1), padding=filters.shape[1] // 2)"

look_with_flipped_filters = edited(
    reference.location_sensitive_attention,
    {"filters.unsqueeze(1), padding": "filters.flip(1).unsqueeze(1), padding"},
    says="The filters are applied in the reverse order: the first number is for the letter furthest to the left.",
)
look_without_the_past = edited(
    reference.location_sensitive_attention,
    {"hidden + location.transpose(1, 2) @ location_weight.T + bias": "hidden + bias"},
    says="Where the looks have been changes nothing: this is attention by content alone.",
)
look_around_the_circle = edited(
    reference.location_sensitive_attention,
    {LOCATION: "F.conv1d(torch.cat([past[:, past.shape[1] - filters.shape[1] // 2 :], past, past[:, : filters.shape[1] // 2]], "
     "1).unsqueeze(1), filters.unsqueeze(1))"},
    says="The end of the text stands before its beginning: there should be zeros beyond both ends.",
)  # fmt: skip
look_with_repeated_ends = edited(
    reference.location_sensitive_attention,
    {
        LOCATION: 'F.conv1d(F.pad(past.unsqueeze(1), (filters.shape[1] // 2,) * 2, mode="replicate"), filters.unsqueeze(1))'
    },
    says="Beyond both ends the looks at the first and last letters are repeated: there should be zeros.",
)
look_without_bias = edited(
    reference.location_sensitive_attention,
    {" + bias": ""},
    says="The bias changes nothing.",
)
look_without_bend = edited(
    reference.location_sensitive_attention,
    {"torch.tanh(hidden)": "hidden"},
    says="The scores are linear in what goes in: the hyperbolic tangent is missing.",
)
look_without_mask = edited(
    reference.location_sensitive_attention,
    {"energy = energy.masked_fill(~mask, -math.inf)": "energy = energy + 0"},
    says="Padding gets weight: the mask changes nothing.",
)
look_masked_with_zeros = edited(
    reference.location_sensitive_attention,
    {"energy.masked_fill(~mask, -math.inf)": "energy.masked_fill(~mask, 0.0)"},
    says="Padding gets weight: a score of 0 is no small one.",
)
look_masked_afterwards = edited(
    reference.location_sensitive_attention,
    {
        "        energy = energy.masked_fill(~mask, -math.inf)\n    weights = energy.softmax(dim=1)": "        pass\n"
        "    weights = energy.softmax(dim=1) * (1.0 if mask is None else mask)"
    },
    says="The weights do not add up to 1: padding still took its share when the softmax was computed.",
)
look_over_the_batch = edited(
    reference.location_sensitive_attention,
    {"energy.softmax(dim=1)": "energy.softmax(dim=0)"},
    says="The weights of one text do not add up to 1: the softmax runs over the batch.",
)
look_without_softmax = edited(
    reference.location_sensitive_attention,
    {"energy.softmax(dim=1)": "energy.sigmoid() / energy.sigmoid().sum(dim=1, keepdim=True)"},
    says="The weights are too even: they come from a sigmoid, which is another attention of the same paper.",
)
look_in_the_other_order = edited(
    reference.location_sensitive_attention,
    {"(weights.unsqueeze(1) @ memory).squeeze(1), weights": "weights, (weights.unsqueeze(1) @ memory).squeeze(1)"},
    says="The pair comes in the other order: the context is first.",
)


# ---- tacotron_loss

STOP = "F.binary_cross_entropy_with_logits(stop_logits[real], last[real], pos_weight=weight)"
ERROR = "(mel - target).transpose(1, 2)[real].square().mean()"

tacotron_with_padding = edited(
    reference.tacotron_loss,
    {"real = frame < lengths[:, None]": "real = (frame < lengths[:, None]) | True"},
    says="Padding counts as if it were frames.",
)
tacotron_with_padded_spectrograms = edited(
    reference.tacotron_loss,
    {ERROR: "(mel - target).square().mean()"},
    says="Padding counts in the error of the spectrograms.",
)
tacotron_with_padded_stops = edited(
    reference.tacotron_loss,
    {STOP: "F.binary_cross_entropy_with_logits(stop_logits, last, pos_weight=weight)"},
    says="Padding counts in the error of the stop token.",
)
tacotron_divided_by_all_frames = edited(
    reference.tacotron_loss,
    {
        ERROR: "((mel - target).transpose(1, 2)[real].square().sum() / target.numel())",
        STOP: "F.binary_cross_entropy_with_logits(stop_logits[real], last[real], pos_weight=weight, "
        'reduction="sum") / real.numel()',
    },
    says="The sums are right, but they are divided by the number of all frames, padding included.",
)
tacotron_by_sequences = edited(
    reference.tacotron_loss,
    {ERROR: "torch.stack([(mel - target)[b, :, :n].square().mean() for b, n in enumerate(lengths.tolist())]).mean()"},
    says="A frame of a short sequence counts more than one of a long sequence: the mean is over all frames together.",
)
tacotron_after_only = edited(
    reference.tacotron_loss,
    {"errors[0] + errors[1] + stop": "0 * errors[0] + errors[1] + stop"},
    says="What comes before the post-net is not held to the target.",
)
tacotron_averaged_errors = edited(
    reference.tacotron_loss,
    {"errors[0] + errors[1] + stop": "(errors[0] + errors[1]) / 2 + stop"},
    says="The two errors of the spectrograms are averaged: they are added up.",
)
tacotron_stops_too_late = edited(
    reference.tacotron_loss,
    {"frame == lengths[:, None] - 1": "frame == lengths[:, None]"},
    says="No real frame should stop: the one that should is the last real one, not the first of the padding.",
)
tacotron_without_weight = edited(
    reference.tacotron_loss,
    {"torch.as_tensor(positive_weight, ": "torch.as_tensor(1.0, "},
    says="A missed stop costs no more than a false one: `positive_weight` has no effect.",
)
tacotron_with_the_weight_for_all = edited(
    reference.tacotron_loss,
    {STOP: "positive_weight * F.binary_cross_entropy_with_logits(stop_logits[real], last[real])"},
    says="The weight multiplies all frames: it is for those that should stop.",
)
tacotron_with_the_weight_for_others = edited(
    reference.tacotron_loss,
    {STOP: "F.binary_cross_entropy_with_logits(-stop_logits[real], 1 - last[real], pos_weight=weight)"},
    says="The weight multiplies the frames that should not stop.",
)
tacotron_divided_by_weights = edited(
    reference.tacotron_loss,
    {
        STOP: '(F.binary_cross_entropy_with_logits(stop_logits[real], last[real], pos_weight=weight, reduction="sum")'
        " / (1 + (weight - 1) * last[real]).sum())"
    },
    says="The cost of the stop token is divided by the sum of the weights: it is the number of frames that divides.",
)
tacotron_of_absolute_errors = edited(
    reference.tacotron_loss,
    {".square().mean()": ".abs().mean()"},
    says="Differences of the spectrograms are not squared.",
)
tacotron_that_overflows = edited(
    reference.tacotron_loss,
    {
        "stop = " + STOP: "p = torch.sigmoid(stop_logits[real])\n"
        "    stop = -(weight * last[real] * p.log() + (1 - last[real]) * (1 - p).log()).mean()"
    },
    says="Large logits give infinities or NaN: the logarithm of a probability that has become 0.",
)


# ---- InvertibleConv1x1

LOG_DET = "x.shape[2] * torch.linalg.slogdet(self.weight).logabsdet"

mixing_counted_once = edited(
    reference.InvertibleConv1x1,
    {LOG_DET: "torch.linalg.slogdet(self.weight).logabsdet"},
    says="The determinant counts once, however long the sequence: every moment is mixed.",
)
mixing_with_a_bare_determinant = edited(
    reference.InvertibleConv1x1,
    {LOG_DET: "x.shape[2] * torch.linalg.det(self.weight)"},
    says="It is the determinant that is returned, and not its logarithm.",
)
mixing_with_the_sign_of_the_inverse = edited(
    reference.InvertibleConv1x1,
    {LOG_DET: "-" + LOG_DET},
    says="log_det has the wrong sign: it is that of the inverse.",
)
mixing_without_absolute_value = edited(
    reference.InvertibleConv1x1,
    {LOG_DET: "x.shape[2] * torch.logdet(self.weight)"},
    says="A weight with a negative determinant gives NaN: it is the absolute value of which the logarithm is taken.",
)
mixing_for_the_whole_batch = edited(
    reference.InvertibleConv1x1,
    {"log_det.expand(len(x))": "log_det * len(x)"},
    says="One number comes for the whole batch: each sequence has its own log_det.",
)
mixing_undone_by_the_transpose = edited(
    reference.InvertibleConv1x1,
    {"torch.linalg.solve(self.weight, z)": "self.weight.T @ z"},
    says="Once the weight has learnt it cannot be undone any more: the transpose is the inverse only at the beginning.",
)
mixing_from_the_other_side = edited(
    reference.InvertibleConv1x1,
    {"return self.weight @ x": "return self.weight.T @ x"},
    says="The weight is transposed: rows of it belong to channels of z.",
)
mixing_undone_twice = edited(
    reference.InvertibleConv1x1,
    {"torch.linalg.solve(self.weight, z)": "self.weight @ z"},
    says="`inverse` mixes once more, where it should undo.",
)
mixing_that_begins_anywhere = edited(
    reference.InvertibleConv1x1,
    {"torch.linalg.qr(torch.randn(channels, channels, generator=generator)).Q": "torch.randn(channels, channels, "
     "generator=generator)"},
    says="The first weight is no orthogonal matrix, and its determinant is nowhere near 1.",
)  # fmt: skip
mixing_that_begins_with_nothing = edited(
    reference.InvertibleConv1x1,
    {"torch.linalg.qr(torch.randn(channels, channels, generator=generator)).Q": "torch.eye(channels)"},
    says="It begins by mixing nothing, whatever the generator: a random orthogonal matrix was asked for.",
)
mixing_with_randomness_of_its_own = edited(
    reference.InvertibleConv1x1,
    {"channels, generator=generator)).Q": "channels)).Q"},
    says="Equal generators give different weights: the randomness comes from elsewhere.",
)
mixing_that_does_not_learn_from_its_determinant = edited(
    reference.InvertibleConv1x1,
    {"torch.linalg.slogdet(self.weight)": "torch.linalg.slogdet(self.weight.detach())"},
    says="No gradient flows from log_det to the weight: nothing keeps it from shrinking to zero.",
)


# ---- AffineCoupling

FORWARD = "return torch.cat([kept, log_scale.exp() * moved + shift], dim=1), log_scale.sum(dim=(1, 2))"

coupling_by_the_logarithm = edited(
    reference.AffineCoupling,
    {"log_scale.exp() * moved + shift": "log_scale * moved + shift"},
    says="The second half is scaled by log s: it is s that multiplies.",
)
coupling_with_scales_added_up = edited(
    reference.AffineCoupling,
    {"log_scale.sum(dim=(1, 2))": "log_scale.exp().sum(dim=(1, 2))"},
    says="log_det adds up the scales: it is their logarithms that add up.",
)
coupling_with_an_averaged_determinant = edited(
    reference.AffineCoupling,
    {"log_scale.sum(dim=(1, 2))": "log_scale.mean(dim=(1, 2))"},
    says="log_det is an average: the logarithms of all scales add up.",
)
coupling_with_one_determinant = edited(
    reference.AffineCoupling,
    {"log_scale.sum(dim=(1, 2))": "log_scale.sum().expand(len(x))"},
    says="All sequences of a batch have the same log_det: each has its own.",
)
coupling_with_the_sign_of_the_inverse = edited(
    reference.AffineCoupling,
    {"log_scale.sum(dim=(1, 2))": "-log_scale.sum(dim=(1, 2))"},
    says="log_det has the wrong sign: it is that of the inverse.",
)
coupling_with_shift_first = edited(
    reference.AffineCoupling,
    {
        "x.chunk(2, dim=1)\n        log_scale, shift": "x.chunk(2, dim=1)\n        shift, log_scale",
        "z.chunk(2, dim=1)\n        log_scale, shift": "z.chunk(2, dim=1)\n        shift, log_scale",
    },
    says="Scale and shift have changed places: the first half of what the network says is log s.",
)
coupling_that_keeps_the_second_half = edited(
    reference.AffineCoupling,
    {
        "kept, moved = x.chunk(2, dim=1)": "moved, kept = x.chunk(2, dim=1)",
        "[kept, log_scale.exp() * moved + shift]": "[log_scale.exp() * moved + shift, kept]",
        "kept, moved = z.chunk(2, dim=1)": "moved, kept = z.chunk(2, dim=1)",
        "torch.cat([kept, (moved - shift) * (-log_scale).exp()], dim=1)": "torch.cat([(moved - shift) * (-log_scale).exp(), "
        "kept], dim=1)",
    },
    says="It is the second half that stays, and tells the network what to do: the first should.",
)
coupling_that_shifts_first = edited(
    reference.AffineCoupling,
    {"log_scale.exp() * moved + shift": "log_scale.exp() * (moved + shift)"},
    says="The shift is scaled, too: it comes after the scaling.",
)
coupling_undone_in_the_wrong_order = edited(
    reference.AffineCoupling,
    {"(moved - shift) * (-log_scale).exp()": "moved * (-log_scale).exp() - shift"},
    says="`inverse` divides before it shifts back: the last step has to be undone first.",
)
coupling_undone_by_what_was_moved = edited(
    reference.AffineCoupling,
    {"kept, moved = z.chunk(2, dim=1)\n        log_scale, shift = self.network(kept": "kept, moved = z.chunk(2, dim=1)\n"
     "        log_scale, shift = self.network(moved"},
    says="In `inverse` the network is told the half that was moved: it can only know what stayed.",
)  # fmt: skip
coupling_without_condition = edited(
    reference.AffineCoupling,
    {
        "x.chunk(2, dim=1)\n        log_scale, shift = self.network(kept, condition)": "x.chunk(2, dim=1)\n"
        "        log_scale, shift = self.network(kept, 0 * condition)",
        "z.chunk(2, dim=1)\n        log_scale, shift = self.network(kept, condition)": "z.chunk(2, dim=1)\n"
        "        log_scale, shift = self.network(kept, 0 * condition)",
    },
    says="The condition changes nothing.",
)
coupling_that_forgets_what_stays = edited(
    reference.AffineCoupling,
    {"torch.cat([kept, log_scale.exp()": "torch.cat([0 * kept, log_scale.exp()"},
    says="The first half is not handed on as it is.",
)
coupling_that_cuts_gradients = edited(
    reference.AffineCoupling,
    {"x.chunk(2, dim=1)\n        log_scale, shift = self.network(kept, condition).chunk": "x.chunk(2, dim=1)\n"
     "        log_scale, shift = self.network(kept, condition).detach().chunk"},
    says="No gradient reaches the network.",
)  # fmt: skip


# ---- waveglow_loss

waveglow_without_its_constant = edited(
    reference.waveglow_loss,
    {" + 0.5 * math.log(2 * math.pi)": ""},
    says="Every value is 0.92 too low: the constant ½ log 2π is missing.",
)
waveglow_summed_up = edited(
    reference.waveglow_loss,
    {"surprise.mean() - log_det.mean() / z[0].numel()": "surprise.flatten(1).sum(1).mean() - log_det.mean()"},
    says="The loss grows with the length of the sounds: it is for each of their numbers.",
)
waveglow_with_the_whole_determinant = edited(
    reference.waveglow_loss,
    {" / z[0].numel()": ""},
    says="The determinant weighs too much: it is not divided by the number of a sound's numbers.",
)
waveglow_divided_by_the_batch_too = edited(
    reference.waveglow_loss,
    {"log_det.mean() / z[0].numel()": "log_det.mean() / z.numel()"},
    says="The larger the batch, the less the determinant weighs: a sound's is divided by its own numbers only.",
)
waveglow_with_summed_determinants = edited(
    reference.waveglow_loss,
    {"log_det.mean() / z[0].numel()": "log_det.sum() / z[0].numel()"},
    says="The determinants of a batch are added up, while the rest is averaged.",
)
waveglow_that_pays_for_volume = edited(
    reference.waveglow_loss,
    {"surprise.mean() - log_det": "surprise.mean() + log_det"},
    says="The loss grows with the determinant: the sign of its term is wrong.",
)
waveglow_with_sigma_unsquared = edited(
    reference.waveglow_loss,
    {"(2 * sigma**2)": "(2 * sigma)"},
    says="The codes are divided by σ: it is the variance σ² that stands there.",
)
waveglow_without_log_sigma = edited(
    reference.waveglow_loss,
    {" + math.log(sigma)": ""},
    says="A wide prior costs nothing: log σ is missing.",
)
waveglow_without_a_half = edited(
    reference.waveglow_loss,
    {"(2 * sigma**2)": "sigma**2"},
    says="The size of the codes counts twice: the ½ before z² is missing.",
)
waveglow_with_log_variance = edited(
    reference.waveglow_loss,
    {" + math.log(sigma)": " + 2 * math.log(sigma)"},
    says="log σ counts twice: the normalising constant has the root of the variance.",
)


# ---- gram_matrix

gram_without_division = edited(
    reference.gram_matrix,
    {" / features.shape[2]": ""},
    says="Long sounds have large matrices: the products are added up, and should be averaged over frames.",
)
gram_divided_by_everything = edited(
    reference.gram_matrix,
    {" / features.shape[2]": " / features[0].numel()"},
    says="The values shrink with the number of channels: they are divided by channels and frames, and only frames divide.",
)
gram_divided_by_channels = edited(
    reference.gram_matrix,
    {" / features.shape[2]": " / features.shape[1]"},
    says="The products are divided by the number of channels: it is frames that they are averaged over.",
)
gram_of_frames = edited(
    reference.gram_matrix,
    {"features @ features.transpose(1, 2)": "features.transpose(1, 2) @ features"},
    says="The matrix compares frames with each other: it is channels that are compared.",
)
gram_of_what_varies = edited(
    reference.gram_matrix,
    {"return features": "features = features - features.mean(dim=2, keepdim=True)\n    return features"},
    says="A constant feature counts for nothing: the means are taken off, which was not asked for.",
)
gram_of_directions = edited(
    reference.gram_matrix,
    {"return features": "features = F.normalize(features, dim=2) * features.shape[2] ** 0.5\n    return features"},
    says="Loud and quiet features are alike: each is scaled to the same size, which was not asked for.",
)
gram_of_the_whole_batch = edited(
    reference.gram_matrix,
    {
        "features @ features.transpose(1, 2) / features.shape[2]": "(features @ features.transpose(1, 2)).mean(dim=0)"
        ".expand(len(features), -1, -1) / features.shape[2]"
    },
    says="All sounds of a batch have the same matrix: each has its own.",
)


# ---- style_loss

DISTANCE = "(gram(f) - gram(s)).square().mean(dim=(1, 2)).mean()"

style_of_sums = edited(
    reference.style_loss,
    {DISTANCE: "(gram(f) - gram(s)).square().sum(dim=(1, 2)).mean()"},
    says="Layers with many channels count too much: the sum is not divided by the square of their number.",
)
style_divided_by_channels_once = edited(
    reference.style_loss,
    {DISTANCE: "(gram(f) - gram(s)).square().sum(dim=(1, 2)).mean() / f.shape[1]"},
    says="Layers with many channels count too much: it is the square of their number that divides.",
)
style_summed_over_the_batch = edited(
    reference.style_loss,
    {DISTANCE: "(gram(f) - gram(s)).square().mean(dim=(1, 2)).sum()"},
    says="The loss grows with the batch: it is a mean over sounds.",
)
style_averaged_over_layers = edited(
    reference.style_loss,
    {", strict=True)]).sum()": ", strict=True)]).mean()"},
    says="Layers are averaged: they are added up.",
)
style_without_weights = edited(
    reference.style_loss,
    {"[1.0] * len(distances) if weights is None else weights": "[1.0] * len(distances)"},
    says="The weights of the layers have no effect.",
)
style_of_absolute_differences = edited(
    reference.style_loss,
    {".square().mean(dim=(1, 2))": ".abs().mean(dim=(1, 2))"},
    says="Differences of the matrices are not squared.",
)
style_of_norms = edited(
    reference.style_loss,
    {".square().mean(dim=(1, 2)).mean()": ".square().mean(dim=(1, 2)).sqrt().mean()"},
    says="A root is taken of each layer's distance: it is the squared norm that counts.",
)
style_by_a_matrix_of_its_own = edited(
    reference.style_loss,
    {DISTANCE: "(f @ f.mT / f.shape[2] - s @ s.mT / s.shape[2]).square().mean(dim=(1, 2)).mean()"},
    says="The function `gram` that is passed in goes unused.",
)
style_of_the_last_layer = edited(
    reference.style_loss,
    {
        "    return torch.stack([w": "    distances, shares = distances[-1:], list(shares)[-1:]\n    return torch.stack([w"
    },
    says="Only the last layer counts.",
)
style_of_mean_features = edited(
    reference.style_loss,
    {DISTANCE: "(f.mean(dim=2) - s.mean(dim=2)).square().mean()"},
    says="What is compared are means of features: two textures can agree in these and differ in what comes together.",
)


# ---- adsr_envelope

envelope_up_to_the_last_sample = edited(
    reference.adsr_envelope,
    {
        "torch.arange(samples, dtype=torch.float64) / rate": "torch.linspace(0, samples / rate, samples, dtype=torch.float64)"
    },
    says="The last sample lies at the end of the sound: it comes one step before it.",
)
envelope_with_decay_from_the_start = edited(
    reference.adsr_envelope,
    {
        "falling = time < attack + decay": "falling = time < max(attack, decay)",
        "(time[falling] - attack)": "time[falling]",
    },
    says="The decay begins with the sound: it begins when the attack ends.",
)
envelope_that_falls_to_silence = edited(
    reference.adsr_envelope,
    {"1 - (1 - sustain) * (time[falling] - attack)": "1 - (time[falling] - attack)"},
    says="The decay goes down to 0, and jumps up to the sustained level: it should end there.",
)
envelope_without_release = edited(
    reference.adsr_envelope,
    {"if release > 0:": "if release < 0:"},
    says="The sound does not fade out.",
)
envelope_of_the_smaller = edited(
    reference.adsr_envelope,
    {
        "level * ((samples / rate - time) / release).clamp(max=1)": "torch.minimum("
        "level, (samples / rate - time) / release)"
    },
    says="Level and fade-out are not multiplied: the smaller of the two is taken.",
)  # fmt: skip
envelope_released_afterwards = edited(
    reference.adsr_envelope,
    {"((samples / rate - time) / release).clamp(max=1)": "(1 - (time - (samples / rate - release)) / release)"
     ".clamp(min=0.5, max=1)"},
    says="The fade-out stops half way: it goes down to the end of the sound.",
)  # fmt: skip
envelope_in_samples = edited(
    reference.adsr_envelope,
    {"torch.arange(samples, dtype=torch.float64) / rate": "torch.arange(samples, dtype=torch.float64)",
     "samples / rate - time": "samples - time"},
    says="The parts are as many samples long as they should last seconds: the rate has no effect.",
)  # fmt: skip
envelope_that_divides_by_zero = edited(
    reference.adsr_envelope,
    {
        "level[falling] = 1 - (1 - sustain) * (time[falling] - attack) / (decay or 1)\n": "level = torch.where(falling, "
        "1 - (1 - sustain) * (time - attack) / torch.tensor(decay), level)\n",
        "level[climbing] = time[climbing] / (attack or 1)\n": "level = level.minimum(time / torch.tensor(attack))\n",
    },
    says="A part that lasts no time gives NaN or silence at the beginning: a division by zero.",
)
envelope_that_begins_at_the_level = edited(
    reference.adsr_envelope,
    {"level[climbing] = time[climbing] / (attack or 1)": "level[climbing] = sustain * time[climbing] / (attack or 1)"},
    says="The attack climbs to the sustained level, and jumps to 1 afterwards: it climbs to 1.",
)
envelope_that_is_squared = edited(
    reference.adsr_envelope,
    {"return level.float()": "return level.square().float()"},
    says="The lines are bent: they should be straight.",
)


# ---- synthesize_effect

effect_of_the_same_loudness = edited(
    reference.synthesize_effect,
    {"sound.abs().amax(dim=1, keepdim=True)": "sound.abs().amax()"},
    says="Only the loudest sound of a batch reaches the peak: each is scaled by itself.",
)
effect_of_the_highest_crest = edited(
    reference.synthesize_effect,
    {"sound.abs().amax(dim=1, keepdim=True)": "sound.amax(dim=1, keepdim=True)"},
    says="A sound whose largest amplitude is negative becomes too loud: it is the absolute value that counts.",
)
effect_that_divides_by_silence = edited(
    reference.synthesize_effect,
    {"torch.where(loudest > 0, loudest, 1.0)": "loudest"},
    says="Silence becomes NaN: there is nothing to scale.",
)
effect_without_peak = edited(
    reference.synthesize_effect,
    {"return peak * sound": "return sound"},
    says="The largest amplitude is always 1: `peak` has no effect.",
)
effect_as_loud_as_it_comes = edited(
    reference.synthesize_effect,
    {"return peak * sound / torch.where(loudest > 0, loudest, 1.0)": "return peak * sound + 0 * loudest"},
    says="How loud the sound becomes depends on the noise: it should be scaled until its largest amplitude is `peak`.",
)
effect_with_the_envelope_first = edited(
    reference.synthesize_effect,
    {"torch.stft(noise,": "torch.stft(noise * envelope,", "sound = filtered * envelope": "sound = filtered"},
    says="The envelope is applied before the filter, which smears it: it comes after it.",
)
effect_scaled_too_early = edited(
    reference.synthesize_effect,
    {"loudest = sound.abs()": "loudest = filtered.abs()"},
    says="The sound is scaled before the envelope makes it quieter: the scaling comes last.",
)
effect_without_filter = edited(
    reference.synthesize_effect,
    {"spectrum * gain": "spectrum * gain.mean()"},
    says="All frequencies and moments pass alike: the gain has no shape.",
)
effect_with_a_filter_of_power = edited(
    reference.synthesize_effect,
    {"spectrum * gain": "spectrum * gain.sqrt()"},
    says="The filter does half of what it should: the gain is taken for one of power, and its root is used.",
)
effect_without_phase = edited(
    reference.synthesize_effect,
    {
        "torch.istft(spectrum * gain": "torch.istft(torch.complex(spectrum.abs() * gain, torch.zeros_like(spectrum.abs()))"
    },
    says="The angles of the noise are lost, and clicks come instead of noise: the complex numbers are filtered.",
)
effect_with_mirrored_ends = edited(
    reference.synthesize_effect,
    {'pad_mode="constant"': 'pad_mode="reflect"'},
    says="At both ends the noise is mirrored before it is filtered: there should be zeros.",
)
effect_without_envelope = edited(
    reference.synthesize_effect,
    {"sound = filtered * envelope": "sound = filtered"},
    says="The envelope has no effect.",
)
