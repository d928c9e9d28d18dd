import pytest
import torch

from coursekit import sounds
from coursekit.sounds import RATE, bell, listen, play, pluck, speak, words


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def loudest(sound, rate=RATE):
    """The frequency, in hertz, of which a sound has most."""
    spectrum = torch.fft.rfft(sound * torch.hann_window(len(sound))).abs()
    return spectrum.argmax().item() * rate / len(sound)


def share(sound, low, high, rate=RATE):
    """What share of a sound's power lies between two frequencies."""
    power = torch.fft.rfft(sound).abs().square()
    hertz = torch.linspace(0, rate / 2, len(power))
    return (power[(hertz >= low) & (hertz < high)].sum() / power.sum()).item()


@pytest.mark.parametrize("hertz", [110, 220.5, 700])
def test_a_string_has_its_pitch(hertz):
    sound = pluck(hertz, 1.0)
    assert len(sound) == RATE
    assert loudest(sound) % hertz == pytest.approx(0, abs=1.5) or loudest(sound) % hertz > hertz - 1.5


def test_a_string_dies_away_and_its_high_overtones_first():
    early, late = pluck(200, 2.0).chunk(2)
    assert late.square().sum() < early.square().sum() / 20
    assert share(late, 1500, 4000) < share(early, 1500, 4000)


def test_overtones_of_a_bell_are_no_multiples():
    found = share(bell(500, 2.0), 0.9 * 500, 0.94 * 500) + share(bell(500, 2.0), 1.17 * 500, 1.21 * 500)
    assert found > 0.2


@pytest.mark.parametrize("make", [pluck, bell])
def test_nothing_clips_or_clicks(make):
    sound = make(440, 0.5)
    assert sound.abs().max() <= 1
    assert sound[[0, -1]].abs().max() < 0.01


def test_every_letter_can_be_spoken():
    for letter in sounds.PHONES:
        sound, starts = speak(letter, generator=seeded())
        assert starts == [0.0]
        assert sound.isfinite().all()
        assert (sound.abs().max() > 0.5) == (letter != " ")


def test_vowels_have_their_formants():
    """Of i most of what lies above 1 kHz lies around 2290 Hz; of a hardly anything."""
    i, a = (speak(vowel * 3, generator=seeded())[0] for vowel in "ia")
    assert share(i, 2000, 2600) / share(i, 1000, 4000) > 0.6
    assert share(a, 2000, 2600) / share(a, 1000, 4000) < 0.1


def test_hiss_lies_in_its_band():
    sound, _ = speak("sss", generator=seeded())
    assert share(sound, 2700, 4000) > 0.9


def test_letters_begin_one_after_another_and_last_about_as_long_as_usual():
    text = "maseti lukoxa"
    sound, starts = speak(text, generator=seeded())
    lasts = [end - start for start, end in zip(starts, [*starts[1:], len(sound) / RATE], strict=True)]
    for letter, seconds in zip(text, lasts, strict=True):
        assert 0.65 * sounds.PHONES[letter].seconds < seconds < 1.35 * sounds.PHONES[letter].seconds


def test_a_seed_fixes_the_voice():
    assert torch.equal(speak("tsai", generator=seeded(3))[0], speak("tsai", generator=seeded(3))[0])
    assert not torch.equal(speak("tsai", generator=seeded(3))[0], speak("tsai", generator=seeded(4))[0])


@pytest.mark.parametrize("text", ["", "häß"])
def test_what_cannot_be_spoken_is_refused(text):
    with pytest.raises(ValueError, match=r"nothing to read|cannot be spoken"):
        speak(text)


def test_words_are_syllables_that_can_be_spoken():
    made = words(50, syllables=(2, 3), generator=seeded())
    assert made == words(50, syllables=(2, 3), generator=seeded())
    for word in made:
        assert set(word) <= set(sounds.CONSONANTS + sounds.VOWELS)
        assert sum(letter in sounds.VOWELS for letter in word) in (2, 3)


def test_notes_sound_when_they_should():
    sound = play([(0.5, 1.0, 69, 100)])
    assert sound[: RATE // 2].abs().max() == 0
    assert loudest(sound[RATE // 2 : RATE]) % 440 == pytest.approx(0, abs=3)
    assert sound[int(1.11 * RATE) :].abs().max() < 0.01
    assert len(play([])) > 0


def test_a_player_is_loud_but_does_not_clip():
    for sound in (torch.linspace(-9, 9, 50), 1e-3 * torch.randn(50)):
        player = listen(sound)
        levels = torch.frombuffer(bytearray(player.data[44:]), dtype=torch.int16)
        assert 29_000 < levels.abs().max() < 30_000
    assert listen(torch.zeros(9)).data[44:] == bytes(18)
