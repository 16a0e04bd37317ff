"""The parts of the torch model: signals in, signals out."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from creative_mix.constants import COMPONENT_NAMES, HOP_LENGTH
from creative_mix.export.field import receptive_field
from creative_mix.model.agent import CompositionalCreativeAgent, MultiScaleExtractor
from creative_mix.model.config import ModelConfig
from creative_mix.model.decoder import Strikes, strike_gain
from creative_mix.model.encoder import mean_power
from creative_mix.model.layers import LocalAttention
from creative_mix.model.origins import FURTHER, BeginReader, blend
from creative_mix.model.pitch import BinOwners, KeyReader
from creative_mix.model.refiner import CombLimiter, DecayLimiter, just_before, loudest_ahead
from creative_mix.model.restrike import (
    Begun,
    Restrikes,
    at_attack,
    at_source,
    remember,
    remember_own,
    restrike,
)
from creative_mix.model.rhythm import (
    OWN_LEVEL,
    STRIKE_RAMP,
    Onsets,
    mix_onsets,
    peak_strength,
    thin_out,
)
from creative_mix.model.spectral import (
    BINS,
    EDGE,
    WINDOW_LENGTH,
    FineEnergy,
    LowSpectrum,
    Stft,
)
from creative_mix.model.system import Controls, CreativeMix

SMALL = ModelConfig(
    encoder_width=32,
    encoder_blocks=1,
    composer_width=32,
    composer_layers=1,
    cascade_stages=1,
    decoder_width=32,
    decoder_blocks=1,
    decoder_expansion=3,
    refiner_bins=64,
    refiner_width=4,
    key_width=16,
    key_expansion=2,
    attention_lookback=8,
    strike_window=24,
    attack_window=40,
)


@pytest.fixture
def small() -> CreativeMix:
    """A small model of random weights whose rhythm heads do strike."""
    torch.manual_seed(3)
    model = CreativeMix(SMALL).eval()
    with torch.no_grad():
        for head in (model.drum_rhythm, model.piano_rhythm):
            head.leave.weight.mul_(15)
        model.permit.weight.mul_(20)
    return model


def sound(channels: int, frames: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    bursts = (torch.rand(1, 1, frames, generator=generator) ** 8).repeat_interleave(HOP_LENGTH, 2)
    return bursts * torch.randn(1, channels, frames * HOP_LENGTH, generator=generator)


# Spectra


def test_stft_is_the_windowed_dft() -> None:
    audio = torch.randn(2, 5000)
    spectra = Stft()(audio)
    count = spectra.shape[1]
    padded = torch.nn.functional.pad(audio, (EDGE, WINDOW_LENGTH))
    windows = padded.unfold(1, WINDOW_LENGTH, HOP_LENGTH)[:, :count]
    wanted = torch.fft.rfft(windows * torch.hann_window(WINDOW_LENGTH))[..., :BINS]
    assert count == 10
    torch.testing.assert_close(spectra[:, :, 0], wanted.real, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(spectra[:, :, 1], wanted.imag, atol=2e-4, rtol=1e-4)


def test_a_longer_window_tells_low_tones_apart() -> None:
    time = torch.arange(20 * HOP_LENGTH) / 44100
    tones = (torch.sin(2 * torch.pi * 82.4 * time) + torch.sin(2 * torch.pi * 123.5 * time))[None]

    def between(spectrum: Stft | LowSpectrum, length: int) -> float:
        power = (spectrum(tones)[0, 10] ** 2).sum(0)
        place = [round(hertz * length / 44100) for hertz in (82.4, 103.0, 123.5)]
        return float(power[place[1]] / torch.minimum(power[place[0]], power[place[2]]))

    assert between(LowSpectrum(4096, 136), 4096) < 0.1 < 0.2 < between(Stft(), WINDOW_LENGTH)


def test_an_eighth_of_the_samples_tells_the_low_bins() -> None:
    torch.manual_seed(3)
    noise = torch.randn(2, 3, 9 * HOP_LENGTH - 100)
    low = LowSpectrum(4096, 136)(noise)
    padded = torch.nn.functional.pad(noise, (1792, 1792 + 100))
    windows = padded.unfold(-1, 4096, HOP_LENGTH) * torch.hann_window(4096)
    whole = torch.view_as_real(torch.fft.rfft(windows)[..., :136]).transpose(-1, -2)
    assert low.shape == whole.shape
    assert (low - whole).abs().max() < 2e-5 * whole.abs().max()
    time = torch.arange(20 * HOP_LENGTH).double() / 44100
    hiss = (100 * torch.sin(2 * torch.pi * 5000 * time)).float()[None]
    leaked = LowSpectrum(4096, 136)(hiss)[0, 10].abs().max()
    assert leaked < 1e-5 * 100 * 2048, "an overtone folds back onto the low bins"


def test_bins_beyond_the_filter_are_refused() -> None:
    with pytest.raises(ValueError, match="1500"):
        LowSpectrum(4096, 160)


@pytest.mark.parametrize("samples", [512, 2048, 5000])
def test_synthesis_undoes_analysis_up_to_the_edges(samples: int) -> None:
    time = torch.arange(samples) / 44100
    audio = torch.sin(2 * torch.pi * 3000 * time).expand(2, 3, -1)
    stft = Stft()
    made = stft.inverse(stft(audio))[..., :samples]
    assert (made - audio).abs().max() < 5e-4


def test_fine_energy_rises_in_the_step_where_a_click_is() -> None:
    audio = torch.zeros(1, 4 * HOP_LENGTH)
    audio[0, 2 * HOP_LENGTH + 5 * 64 + 32] = 1.0
    steps = FineEnergy()(audio).view(4 * FineEnergy.STEPS, -1).sum(1)
    assert int(steps.argmax()) == 2 * FineEnergy.STEPS + 5


# The agent


def test_the_seed_snippet_runs() -> None:
    torch.manual_seed(0)
    agent = CompositionalCreativeAgent(encoding_dim=128)
    x, y = torch.randn(2, 128, 100), torch.randn(2, 128, 100)
    output, loss = agent(x, y)
    assert output.shape == (2, 128, 100)
    assert loss.ndim == 0 and loss.item() != 0.0
    stats = agent.get_component_statistics(x, y)
    assert list(stats) == [f"{name}_weight" for name in COMPONENT_NAMES]
    assert sum(stats.values()) == pytest.approx(1.0, abs=1e-5)
    assert all(0.1 < weight < 0.25 for weight in stats.values())


def test_selector_has_the_parameters_of_the_code_in_the_seed() -> None:
    agent = CompositionalCreativeAgent()
    assert sum(p.numel() for p in agent.component_selector.parameters()) == 100_102


def test_gradient_reaches_every_branch_even_when_the_selector_ignores_it() -> None:
    agent = CompositionalCreativeAgent()
    with torch.no_grad():
        agent.component_selector[2].bias.copy_(torch.tensor([8.0, -8, -8, -8, -8, -8]))
    output, loss = agent(torch.randn(1, 128, 40), torch.randn(1, 128, 40))
    (output.square().mean() + loss).backward()
    for name, parameter in agent.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    for source in (agent.input_extractor, agent.target_extractor):
        for branch in (source.rhythm, source.harmony, source.timbre):
            assert branch.skip.weight.grad.norm() > 0


def test_novelty_has_gradient_where_the_thresholded_form_had_none() -> None:
    agent = CompositionalCreativeAgent()
    x, y = torch.randn(1, 128, 30), torch.randn(1, 128, 30)
    output = torch.randn(1, 128, 30, requires_grad=True)
    loss = agent.novelty_loss(output, x, y)
    assert loss.item() < 0.7
    loss.backward()
    assert output.grad is not None and output.grad.abs().max() > 0


def test_a_component_that_says_nothing_strikes_nothing(small: CreativeMix) -> None:
    logits, offset, _ = small.drum_rhythm(torch.zeros(1, small.config.component_dim, 20))
    assert torch.sigmoid(logits).max() < STRIKE_RAMP[0] and offset.abs().max() == 0
    piano, drums = sound(1, 20, 2), sound(1, 20, 1)
    with torch.no_grad():
        analysis = small.analyse(drums, piano)
        weights = small.agent.select(analysis.components)
        composed = small.agent.compose(analysis.components, weights).output
        nothing = small.decode(piano, analysis, weights, composed, torch.zeros_like(composed))
    assert nothing.strikes.max() < STRIKE_RAMP[0]


def test_nothing_of_the_drums_is_heard_unless_it_is_asked_for(small: CreativeMix) -> None:
    spectra = small.stft(sound(1, 20, 1))
    weights = torch.full((1, 6, 20), 0.1)
    weights[:, 5] = 0.5
    assert small._drum_timbre(spectra, weights).abs().max() == 0
    weights[:, 2] = 0.5
    assert small._drum_timbre(spectra, weights).abs().max() > 0.01


def test_bias_moves_the_weight_of_its_component() -> None:
    agent = CompositionalCreativeAgent().eval()
    components = agent.extract(torch.randn(1, 128, 20), torch.randn(1, 128, 20))
    bias = torch.zeros(1, 6)
    bias[0, 3] = 2.0
    plain, biased = agent.select(components), agent.select(components, bias)
    assert (biased[:, 3] > plain[:, 3]).all()
    torch.testing.assert_close(biased.sum(1), torch.ones(1, 20))


def test_extractor_kernels_reach_as_far_as_they_say() -> None:
    extractor = MultiScaleExtractor().eval()
    x = torch.randn(1, 128, 80)
    moved = x.clone()
    moved[:, :, 40] += 1.0
    reach = []
    for before, after in zip(extractor(x), extractor(moved), strict=True):
        changed = (before - after).abs().amax((0, 1)).nonzero()[:, 0]
        reach.append(int(changed.max() - changed.min()) + 1)
    assert reach == [3 + 5 - 1, 7 + 9 - 1, 15 + 21 - 1]


def test_local_attention_does_not_depend_on_where_blocks_fall() -> None:
    torch.manual_seed(1)
    attention = LocalAttention(16, heads=2, lookback=8, lookahead=2).eval()
    with torch.no_grad():
        attention.distance_bias.normal_()
    x = torch.randn(1, 16, 60)
    whole = attention(x)
    for start in (1, 3, 8, 13):
        part = attention(x[:, :, start:])
        torch.testing.assert_close(part[:, :, 8:], whole[:, :, start + 8 :], atol=1e-5, rtol=1e-4)


# Strikes and streams


def onsets_at(
    times: list[float], frames: int, probability: float = 1.0, level: float = 0.5
) -> Onsets:
    flags, offset = torch.zeros(1, 3, frames), torch.zeros(1, frames)
    for time in times:
        frame = int(time // HOP_LENGTH)
        flags[:, :, frame] = probability
        offset[:, frame] = time / HOP_LENGTH - frame - 0.5
    return Onsets(flags, offset, torch.full((1, 3, frames), level))


def keys_begun(
    frames: int, begun: dict[int, list[float]], struck: dict[int, tuple[int, ...]]
) -> Begun:
    """Keys with the times at which they begin, and those that a strike of each voice strikes."""
    begins, chances = torch.zeros(1, 88, frames), torch.zeros(1, 3, 88, frames)
    for key, times in begun.items():
        for time in times:
            begins[:, key, int(time // HOP_LENGTH)] = 1.0
    for voice, keys in struck.items():
        chances[:, voice, list(keys)] = 1.0
    return Begun(begins, chances)


def struck_again(
    piano: torch.Tensor, strikes: Onsets, attacks: Onsets, keys: Begun | None = None
) -> Restrikes:
    keys = keys or keys_begun(strikes.offset.shape[1], {}, {})
    return restrike(piano, strikes, attacks, keys, ModelConfig())


def steps_of_sound(times: list[float], frames: int) -> torch.Tensor:
    """Audio that is 1 from the first time on, 2 from the second, and so on."""
    audio = torch.zeros(1, 1, frames * HOP_LENGTH)
    for time in times:
        audio[..., int(time) :] += 1.0
    return audio


class TestOrigins:
    """Notes are struck again from their own attacks."""

    def test_a_key_restarts_from_its_own_attack_though_others_came_later(self) -> None:
        times = [1000.0, 9000.0, 15000.0]
        keys = keys_begun(100, {70: [1000.0], 40: [9000.0], 55: [15000.0]}, {0: (40,), 2: (70,)})
        made = struck_again(
            steps_of_sound(times, 100), onsets_at([20000.0], 100), onsets_at(times, 100), keys
        )
        after = made.streams[0, :, 0, 20100:20900].mean(1)
        torch.testing.assert_close(after[[0, 2]], torch.tensor([2.0, 1.0]))
        # Nothing is known of the inner voice's keys: it goes by its last attack.
        assert after[1] == pytest.approx(3.0)
        assert made.shift[0, 2, 60] == pytest.approx(19000 / 44100, abs=1e-4)

    def test_a_key_that_was_struck_twice_restarts_from_the_second(self) -> None:
        times = [1000.0, 9000.0]
        keys = keys_begun(100, {70: times}, {2: (70,)})
        made = struck_again(
            steps_of_sound(times, 100), onsets_at([20000.0], 100), onsets_at(times, 100), keys
        )
        assert made.streams[0, 2, 0, 20100:20900].mean() == pytest.approx(2.0)

    def test_inner_keys_restart_from_the_latest_attack_and_the_oldest_ones(self) -> None:
        times = [1000.0, 5000.0, 9000.0, 13000.0]
        began = {50: [1000.0], 54: [5000.0], 57: [9000.0], 60: [13000.0]}
        keys = keys_begun(100, began, {1: tuple(began)})
        made = struck_again(
            steps_of_sound(times, 100), onsets_at([20000.0], 100), onsets_at(times, 100), keys
        )
        after = made.streams[0, [1, 3, 4], 0, 20100:20900].mean(1)
        torch.testing.assert_close(after, torch.tensor([4.0, 1.0, 2.0]))
        inside = made.own_keys[0, :, :, 60]
        assert inside.shape == (FURTHER, 88)
        assert inside.nonzero().tolist() == [[0, 50], [1, 54]]
        assert made.own_keys[0, :, :, :30].abs().max() == 0

    def test_streams_move_continuously_with_a_keys_chance(self) -> None:
        piano, times = sound(2, 60, 5), [2000.0, 6000.0]
        previous = None
        for chance in torch.linspace(0.0, 1.0, 401).tolist():
            keys = keys_begun(60, {70: [2000.0]}, {2: (70,)})
            keys.struck[:, 2, 70] = chance
            made = struck_again(piano, onsets_at([9000.3], 60), onsets_at(times, 60), keys)
            if previous is not None:
                assert (made.streams - previous).abs().max() < 0.03 * piano.abs().max()
            previous = made.streams

    def test_every_bin_is_taken_from_the_stream_that_owns_it(self) -> None:
        streams = [torch.full((1, 5, 6), value) for value in (1.0, 2.0, 3.0)]
        shares = torch.zeros(1, 2, 5, 6)
        shares[:, 0, :, 2], shares[:, 1, :, 4] = 1.0, 0.5
        assert blend(streams[0], streams[1:], shares)[0, 0].tolist() == [1, 1, 2, 1, 2, 1]

    def test_beginnings_are_read_alike_wherever_the_piece_is_cut(self) -> None:
        torch.manual_seed(3)
        reader, reach = BeginReader(), BeginReader.REACH
        sounding, powers = torch.randn(1, 88, 60), torch.rand(1, 88, 60)
        whole = reader(sounding, powers)
        part = reader(sounding[..., 20:40], powers[..., 20:40])
        torch.testing.assert_close(part, whole[..., 20 : 40 - 2 * reach])

    def test_a_neighbours_level_is_that_of_the_key_so_far_below(self) -> None:
        powers = torch.full((1, 88, 9), 1e-6)
        powers[:, 30, 5:] = 1e-2
        seen = BeginReader().features(torch.zeros(1, 88, 9), powers)[0]
        rises = seen[5::2, :, 1]  # frame 4 of 9
        for rise, below in zip(rises, BeginReader.NEIGHBOURS, strict=True):
            assert (rise > 3).nonzero().flatten().tolist() == [30 + below]


def test_streams_restart_at_each_strike_from_the_attack_before_it() -> None:
    piano = torch.zeros(1, 1, 100 * HOP_LENGTH)
    piano[0, 0, 1000:15000] = torch.linspace(1.0, 0.2, 14000)
    piano[0, 0, 15000:35000] = -torch.linspace(1.0, 0.2, 20000)
    strikes = [5000.0, 9000.0, 14500.0, 20000.0]
    made = struck_again(piano, onsets_at(strikes, 100), onsets_at([1000.0, 15000.0], 100))
    stream = made.streams[0, 1, 0]
    assert stream[:4800].abs().max() == 0
    # The third strike comes 11 ms before an attack, which by the rule it strikes already.
    for strike, sign in zip(strikes, (1, 1, -1, -1), strict=True):
        start = int(strike)
        assert stream[start + 1] == pytest.approx(sign, abs=2e-3)
        assert stream[start + 1000] == pytest.approx(sign * (1 - 1000 * 0.8 / 17000), abs=0.03)
    assert made.age[0, 0, 12] == pytest.approx((12.5 * 512 - 5000) / 44100, abs=1e-4)


def test_streams_move_continuously_with_the_probability() -> None:
    piano = sound(2, 60, 5)
    attacks = onsets_at([2000.0], 60)
    previous = None
    for probability in torch.linspace(0.1, 0.5, 401).tolist():
        strikes = onsets_at([4000.3, 12000.7], 60)
        strikes.probability[:, :, 12000 // HOP_LENGTH] = probability
        streams = struck_again(piano, strikes, attacks).streams
        if previous is not None:
            assert (streams - previous).abs().max() < 0.02 * piano.abs().max()
        previous = streams


def test_neighbours_of_equal_height_do_not_flip() -> None:
    probability = torch.zeros(1, 1, 9)
    probability[0, 0, 4:6] = 0.9
    nudged = probability.clone()
    nudged[0, 0, 5] += 1e-6
    difference = peak_strength(probability, (0.2, 0.5)) - peak_strength(nudged, (0.2, 0.5))
    assert difference.abs().max() < 1e-4


def test_selector_share_decides_what_is_struck() -> None:
    drums, piano = onsets_at([1000.0], 10), onsets_at([3000.0], 10)
    both = mix_onsets(drums, piano, torch.full((1, 10), 0.75)).probability[0, 0]
    assert both[1] == pytest.approx(0.75) and both[5] == pytest.approx(0.25)


def test_memory_holds_the_encoding_of_the_last_strike() -> None:
    encoding = torch.arange(40.0).expand(1, 2, 40).contiguous()
    made = struck_again(
        torch.zeros(1, 1, 40 * HOP_LENGTH),
        onsets_at([5.2 * 512, 20.2 * 512], 40),
        onsets_at([], 40),
    )
    memory = remember(encoding, made)[0, 0, 0]
    assert memory[:5].abs().max() == 0
    assert (memory[6:20] == 5).all() and (memory[21:] == 20).all()


def test_memory_of_a_voices_own_values_and_of_what_its_stream_reads() -> None:
    values = torch.arange(40.0).expand(1, 2, 40).contiguous()
    by_voice = torch.stack([values, values + 100, values + 200], 1)
    audio = torch.zeros(1, 1, 40 * HOP_LENGTH)
    made = struck_again(audio, onsets_at([5.2 * 512], 40), onsets_at([2.2 * 512], 40))
    for voice in range(3):
        assert (remember_own(by_voice, made)[0, voice, :, 6:] == 5 + 100 * voice).all()
    source = at_source(values, made)[0, 1, 0, 10:20]
    torch.testing.assert_close(source, torch.arange(7.0, 17.0), atol=1e-3, rtol=0)


def test_a_strike_without_an_attack_goes_on_with_the_present_piano() -> None:
    piano = sound(2, 40, 8)
    made = struck_again(piano, onsets_at([5000.0], 40), onsets_at([], 40))
    assert made.streams[..., :4800].abs().max() == 0
    torch.testing.assert_close(made.streams[0, 2, :, 5100:], piano[0, :, 5100:])
    assert made.streams[:, 3:].abs().max() == 0


def test_the_place_of_the_attack_stays_while_the_stream_runs_on() -> None:
    values = torch.arange(40.0).view(1, 40, 1).expand(1, 40, 2).contiguous()
    audio = torch.zeros(1, 1, 40 * HOP_LENGTH)
    made = struck_again(audio, onsets_at([5.5 * 512], 40), onsets_at([2.5 * 512], 40))
    attack = at_attack(values, made)[0, 1, 7:30, 0]
    torch.testing.assert_close(attack, torch.full((23,), 2.0), atol=2e-3, rtol=0)


def test_what_was_struck_later_is_held_down_and_what_dies_away_is_not() -> None:
    limiter = DecayLimiter()
    struck = torch.zeros(1, 3, 20, 8)
    now = struck - torch.linspace(0.0, 1.0, 20)[:, None]  # a string that dies away
    now[:, :, 10:, 5] = 0.8  # and another one, struck in frame 10
    excess, taken = limiter(now, struck)
    assert excess[..., :5].abs().max() == 0 and excess[:, :, :10, 5].abs().max() == 0
    assert (excess[:, :, 10:, 5] > 0.6).all() and (taken[:, :, 10:, 5] < -3).all()


def test_the_loudest_of_the_next_frames() -> None:
    powers = torch.tensor([0.0, 1.0, 5.0, 2.0, 0.0, 0.0, 0.0, 0.0, 3.0]).view(1, 9, 1)
    loudest = loudest_ahead(powers)[0, :, 0]
    assert loudest.tolist() == [5.0, 5.0, 5.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0]
    assert just_before(powers)[0, 3:, 0].tolist() == powers[0, :6, 0].tolist()


# Pitches


def test_pitch_axis_puts_a_tone_on_its_key() -> None:
    reader = KeyReader(16, 1)
    time = torch.arange(20 * HOP_LENGTH) / 44100
    for key in (28, 40, 60, 80):
        tone = 0.1 * torch.sin(2 * torch.pi * 27.5 * 2 ** (key / 12) * time)[None, None]
        power = mean_power(Stft()(tone))[0, 10] @ reader.axis
        power = power + mean_power(reader.long_spectrum(tone))[0, 10] @ reader.long_axis
        assert abs((int(power.argmax()) - 1) / 3 - key) < 0.7


def test_a_key_alone_owns_its_partials_and_shares_those_of_others() -> None:
    struck, heard = torch.zeros(1, 1, 88, 1), torch.zeros(1, 1, 88, 1)
    struck[0, 0, 48] = heard[0, 0, 48] = heard[0, 0, 55] = 1.0  # A4 struck, E5 beside it
    share, expected = (part[0, 0, 0] for part in BinOwners()(struck, 1e4 * heard))
    mine, other, gap = (round(hertz / 44100 * 2048) for hertz in (440, 659.3, 760))
    assert share[mine].exp() > 0.9 and share[other].exp() < 0.1
    # Between partials nobody else claims a bin, but there is nothing to be expected there either.
    assert share[gap].exp() > 0.2 and expected[gap] < expected[mine] - 1.0


def test_what_the_struck_keys_do_not_explain_is_held_down() -> None:
    expected, now = torch.full((1, 3, 4, BINS), -1.0), torch.full((1, 3, 4, BINS), -1.2)
    now[..., 100] = 1.0
    taken = CombLimiter()(now, expected)
    assert taken[..., :100].abs().max() == 0 and (taken[..., 100] < -1.5).all()


def test_levels_tell_how_loud_each_of_the_sounding_keys_is() -> None:
    owners = BinOwners()
    combs = owners.combs.detach().exp()
    wanted = {40: 1.0, 47: 0.09, 64: 0.25}  # powers
    power = sum(level * combs[key] for key, level in wanted.items())
    # A few rounds do not separate to the end: each is told up to 3 dB too quiet, 4.5 beside a key
    # that is thought to sound an octave below one that does, and that gets little itself.
    for ghosts, bound_db in (([], 3.0), ([52], 4.5)):
        sounding = torch.full((1, 88, 1), 0.01)
        sounding[0, [*wanted, *ghosts]] = 0.9
        levels = owners.levels(sounding, 100 * power.view(1, 1, BINS))[0, :, 0].detach() / 100
        for key, level in wanted.items():
            assert 10 * abs(float(torch.log10(levels[key] / level))) < bound_db
        assert levels[52] < 0.02


def test_a_harder_hit_sounds_louder_and_dynamics_scale_the_difference() -> None:
    assert float(strike_gain(torch.tensor(OWN_LEVEL))) == pytest.approx(1.0)
    torch.manual_seed(3)
    decoder = CreativeMix(SMALL).decoder
    level = torch.tensor([0.3, 0.9]).view(1, 1, 2).expand(1, 3, 2)

    def factors(dynamics: float) -> torch.Tensor:
        strikes = Strikes(
            *[torch.zeros(1)] * 3, level, torch.tensor([dynamics]), *[torch.zeros(1)] * 2
        )
        return decoder._level_factors(strikes)[0, 0].log()

    plain, flat, wide = factors(1.0), factors(0.0), factors(1.5)
    assert plain[1] > plain[0]
    assert flat[1] - flat[0] < 0.5 * (plain[1] - plain[0]) < wide[1] - wide[0]


def test_thinning_out_leaves_the_strongest() -> None:
    loud, soft = onsets_at([1000.0], 10, level=0.9), onsets_at([3000.0], 10, level=0.3)
    both = Onsets(
        loud.probability + soft.probability,
        loud.offset + soft.offset,
        torch.where(soft.probability > 0, soft.level, loud.level),
    )
    kept = thin_out(both, torch.tensor([0.5])).probability[0, 0]
    assert kept[1] == 1 and kept[5] == 0
    assert torch.equal(thin_out(both, torch.tensor([1.0])).probability, both.probability)
    assert thin_out(both, torch.tensor([0.0])).probability.max() == 0


def test_controls_reach_the_sound(small: CreativeMix) -> None:
    drums, piano = sound(1, 60, 7), sound(1, 60, 6)
    one, none = torch.ones(1), torch.zeros(1)
    with torch.no_grad():
        plain = small(drums, piano)
        same = small(drums, piano, torch.zeros(1, 6, 60), controls=Controls(one, one))
        thin = small(drums, piano, controls=Controls(none, one))
        flat = small(drums, piano, controls=Controls(one, none))
    assert torch.equal(plain.mix, same.mix)
    assert plain.strikes.max() > 0.2 and thin.strikes.max() == 0
    assert (flat.mix - plain.mix).abs().max() > 1e-3


# The whole


def test_sizes_stay_within_what_was_agreed() -> None:
    model = CreativeMix()
    assert sum(p.numel() for p in model.agent.parameters()) <= 14_600_000
    assert sum(p.numel() for p in model.parameters()) < 28_000_000
    lookback, lookahead = receptive_field(model.config)
    # 768 were agreed; the key reader that hears 3.5 s took 208 more (docs/experiments.md).
    assert lookback <= 976 and lookahead <= 32


def test_receptive_field_by_perturbation(small: CreativeMix) -> None:
    lookback, lookahead = receptive_field(small.config)
    frames, at = 2 * (lookback + lookahead), lookahead + 30
    drums, piano, bias = sound(1, frames, 1), sound(1, frames, 2), torch.zeros(1, 6)
    with torch.no_grad():
        before = small(drums, piano, bias)
        assert (before.strikes > 0.2).float().mean() > 0.02
        for which in range(2):
            moved = [drums.clone(), piano.clone()]
            moved[which][..., at * HOP_LENGTH : (at + 1) * HOP_LENGTH] += 0.3 * torch.randn(512)
            change = (small(*moved, bias).mix - before.mix).abs().view(frames, -1).amax(1)
            touched = change.nonzero()[:, 0]
            assert at - int(touched.min()) <= lookahead
            assert int(touched.max()) - at <= lookback


def test_anti_phase_stereo_is_heard(small: CreativeMix) -> None:
    mono = sound(1, 60, 4)
    anti = torch.cat([mono, -mono], 1)
    in_phase = torch.cat([mono, mono], 1)
    with torch.no_grad():
        analysis, same = small.analyse(anti, anti), small.analyse(in_phase, in_phase)
    torch.testing.assert_close(analysis.piano_encoding, same.piano_encoding)


def test_stereo_image_follows_the_piano(small: CreativeMix) -> None:
    piano = sound(2, 60, 6)
    swapped = piano.flip(1)
    with torch.no_grad():
        made = small(sound(1, 60, 7), piano).mix
        other = small(sound(1, 60, 7), swapped).mix
    torch.testing.assert_close(made.flip(1), other, atol=1e-5, rtol=1e-4)


def test_without_cascade_the_model_still_runs() -> None:
    model = CreativeMix(dataclasses.replace(SMALL, cascade_stages=0)).eval()
    with torch.no_grad():
        assert model(sound(1, 20, 1), sound(1, 20, 2)).mix.shape == (1, 1, 20 * HOP_LENGTH)


def test_the_model_compiles_as_one_graph() -> None:
    torch._dynamo.reset()
    model = CreativeMix(SMALL).eval()
    sounds = sound(1, 48, 1), sound(1, 48, 2)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        torch.testing.assert_close(compiled(*sounds).mix, model(*sounds).mix)
