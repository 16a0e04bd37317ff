"""One block of a stream on its way through the model: the offline parts, wired by lines."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from creative_mix.constants import HOP_LENGTH, SAMPLE_RATE
from creative_mix.model.decoder import Keys, Strikes
from creative_mix.model.encoder import log_power, mean_power
from creative_mix.model.origins import STRUCK_WITHIN_FRAMES, BeginReader, begun, find_origins
from creative_mix.model.reader import Reader
from creative_mix.model.refiner import DecayLimiter, GainRefiner, loudest_ahead
from creative_mix.model.restrike import (
    KEYS_DELAY,
    UNSTRUCK_S,
    Restrikes,
    Strokes,
    at_attack,
    at_source,
    last_attack,
    play,
    prefer,
    remember,
    remember_own,
    voiced,
)
from creative_mix.model.rhythm import (
    ATTACK_RAMP,
    STRIKE_RAMP,
    VOICES,
    Onsets,
    RhythmHead,
    strike_times,
)
from creative_mix.model.ringing import CONTEXT_FRAMES, ringing
from creative_mix.model.stages import (
    attend,
    extract,
    fine_powers,
    over,
    pass_blocks,
    peaks,
    spectra,
    strengths,
    synthesise,
)
from creative_mix.model.system import (
    CreativeMix,
    blend_voices,
    describe_ages,
    of_voices,
    share_keys,
)
from creative_mix.model.tape import Line, Lines, Tape

READ_AHEAD = STRUCK_WITHIN_FRAMES + 2
"""Frames by which a stream may read the piano ahead of the present: it strikes a coming attack."""


class Made(NamedTuple):
    """What a block gives, all of it equally late; the names are those of the offline graph."""

    mix: Tensor
    """(B, C, 512 T)"""
    weights: Tensor
    """(B, 6, T)"""
    strikes: Tensor
    """(B, T)"""
    onsets: Tensor
    """(B, V, T)"""
    timing: Tensor
    """(B, T)"""
    levels: Tensor
    """(B, V, T)"""
    keys: Tensor
    """(B, V, 88, T)"""


class Block:
    """One block on its way through the model; each method is a part of the way.

    Parameters
    ----------
    model : of whose parts and weights all is made
    tape : what the blocks before have left
    """

    drum_spectra: Line
    piano_spectra: Line
    power: Line
    components: list[Line]
    weights: Line
    encoding: Line
    sounding: Line
    voices: Line
    ended: Line
    begins: Line
    key_levels: Line
    shares: Line
    strikes: Lines[Onsets]
    attacks: Lines[Onsets]

    def __init__(self, model: CreativeMix, tape: Tape) -> None:
        self.model, self.tape = model, tape

    def run(
        self, drums: Tensor, piano: Tensor, bias: Tensor, density: Tensor, dynamics: Tensor
    ) -> tuple[Made, int]:
        """What the block gives, and by how many frames it is late.

        Shape: drums and piano (1, C, 512 T), bias (1, 6, T), density and dynamics (1, T).
        """
        self.drums = self.tape.line("drums", drums, 0, unit=HOP_LENGTH)
        self.piano = self.tape.line("piano", piano, 0, unit=HOP_LENGTH)
        self.bias = self.tape.line("bias", bias, 0)
        self.density = self.tape.line("density", density, 0)
        self.dynamics = self.tape.line("dynamics", dynamics, 0)
        self.listen()
        self.compose()
        self.read_keys()
        self.strike()
        streams, strikes, keys = self.restart()
        return self.sound(streams, strikes, keys)

    def listen(self) -> None:
        """Spectra, encodings and components of both sources."""
        encoder, agent, tape = self.model.encoder, self.model.agent, self.tape
        drum_spectra, lag = spectra(self.drums, self.model.stft)
        piano_spectra, _ = spectra(self.piano, self.model.stft)
        powers = [mean_power(drum_spectra), mean_power(piano_spectra)]
        self.drum_spectra = tape.line("drums.spectra", drum_spectra.mean(1), lag, axis=1)
        self.piano_spectra = tape.line("piano.spectra", piano_spectra, lag, axis=2)
        self.power = tape.line("piano.power", powers[1], lag, axis=1)
        fine = [
            fine_powers(source, lag, encoder.fine_energy).mean(1)
            for source in (self.drums, self.piano)
        ]
        # Both at once, as a batch: every weight is fetched once.
        hidden = encoder.enter(torch.cat(powers), torch.cat(fine))
        hidden, lag = pass_blocks(tape, "encoder", hidden, lag, encoder.blocks)
        self.components = []
        for name, encoding, extractor in zip(
            ("drums", "piano"),
            encoder.leave(hidden).chunk(2),
            (agent.input_extractor, agent.target_extractor),
            strict=True,
        ):
            line = tape.line(f"{name}.encoding", encoding, lag)
            for kind in ("rhythm", "harmony", "timbre"):
                branch = getattr(extractor, kind)
                self.components.append(extract(tape, f"{name}.{kind}", line, branch))

    def compose(self) -> None:
        """Weights, and the composed encoding after the cascade."""
        agent, tape = self.model.agent, self.tape
        lag = max(each.lag for each in self.components)
        components = torch.stack([each.read(lag) for each in self.components], 1)
        self.weights = tape.line("weights", agent.select(components, self.bias.read(lag)), lag)
        selected = tape.line("selected", agent.weigh(components, self.weights.block), lag)
        hidden, lag = attend(
            tape, "composer", agent.composer.enter(selected.block), lag, agent.composer.layers
        )
        made = tape.line("composed", agent.composer.compose(hidden), lag)
        stage: Any  # of a ModuleList, which does not know its modules' class
        for number, stage in enumerate(self.model.cascade, 1):
            seen = stage.look(selected.read(lag), made.block)
            hidden, lag = attend(tape, f"cascade.{number}", seen, lag, [stage.layer])
            made = tape.line(f"composed.{number}", stage.add(made.read(lag), hidden), lag)
        self.encoding = made

    def read_keys(self) -> None:
        """The sounding keys with their levels, and those that each voice would strike."""
        reader, tape = self.model.key_reader, self.tape
        long, lag = spectra(self.piano, reader.long_spectrum)
        rows = tape.line("keys.rows", reader.rows(self.power.read(lag), mean_power(long)), lag)
        entered, lag = over(rows, reader.enter)
        hidden, lag = pass_blocks(tape, "keys", reader.in_norm(entered), lag, reader.blocks)
        hidden = reader.out_norm(hidden)
        logits, told = reader.tell(hidden)
        sounding = torch.sigmoid(logits)
        ends, late = over(tape.line("keys.hidden", hidden, lag), reader.ends)
        self.ended = tape.line("keys.ended", torch.sigmoid(ends), late)
        levels = self.model.decoder.owners.levels(sounding, self.power.read(lag))
        self.sounding = tape.line("keys.sounding", sounding, lag)
        self.voices = tape.line("keys.voices", torch.sigmoid(told), lag)
        self.key_levels = tape.line("keys.levels", levels, lag)
        reach = BeginReader.REACH
        begins = self.model.begin_reader(
            tape.line("keys.logits", logits, lag).read(behind=reach, ahead=reach),
            self.key_levels.read(behind=reach, ahead=reach),
        )
        self.begins = tape.line("keys.begins", torch.sigmoid(begins), lag + reach)

    def strike(self) -> None:
        """The piano's own attacks, and what is struck."""
        model = self.model
        hits = self._onsets("hits", self.components[0], model.drum_rhythm)
        self.attacks = self._onsets("attacks", self.components[3], model.piano_rhythm)
        lag = self.encoding.lag
        struck, _ = model.strike(
            hits.read(lag),
            self.attacks.read(lag),
            self.weights.read(lag),
            self.encoding.block,
            self.density.read(lag),
        )
        self.strikes = Lines(self.tape, "strikes", struck, lag)

    def _onsets(self, name: str, component: Line, head: RhythmHead) -> Lines[Onsets]:
        entered, lag = over(component, head.enter)
        logits, offset, level = head.tell(entered)
        return Lines(self.tape, name, Onsets(torch.sigmoid(logits), offset, level), lag)

    def restart(self) -> tuple[Line, Lines[Strikes], Lines[Keys]]:
        """The streams, and what is known of each voice's last strike and of the keys."""
        config, tape = self.model.config, self.tape
        attack = peaks(tape, "attacks", self.attacks["probability"], ATTACK_RAMP)
        strike, strike_gap = strengths(
            tape, "strikes", self.strikes["probability"], STRIKE_RAMP, config.strike_window
        )
        lag = max(attack.lag, self.begins.lag)
        sure = tape.line("keys.sure", begun(attack.read(lag), self.begins.read(lag)), lag)
        ahead = STRUCK_WITHIN_FRAMES
        lag = max(strike.lag, sure.lag + ahead, self.voices.lag + KEYS_DELAY)
        around = (lag, config.attack_window - ahead, ahead)
        times = self.attacks["offset"].read(*around)
        last = last_attack(
            voiced(self.strikes["offset"].read(lag)),
            attack.read(*around),
            voiced(times),
            config.attack_window,
        )
        found = find_origins(
            strike_times(self.strikes["offset"].read(lag)),
            sure.read(*around),
            strike_times(times),
            self.voices.read(lag - KEYS_DELAY),
            config.attack_window,
        )
        sources = Lines(tape, "sources", prefer(found, *last), lag)
        origins = Lines(tape, "origins", found, lag)
        loudness = log_power(self.power.block)
        low = tape.line("piano.low", loudness[..., : config.refiner_bins], self.power.lag, axis=1)
        quiet = tape.line("piano.loudness", loudness, self.power.lag, axis=1)
        after = DecayLimiter.ATTACK_FRAMES - 1
        loudest = tape.line(
            "piano.loudest",
            loudest_ahead(quiet.read(ahead=after))[:, :-after],
            quiet.lag + after,
            axis=1,
        )
        lag = max(
            lag + 1,
            *(e.lag + READ_AHEAD for e in (self.attacks["probability"], self.key_levels, loudest)),
        )
        around = (lag, config.strike_window - 1, 1)
        strokes = Strokes(
            strike.read(*around),
            strike_gap.read(*around),
            voiced(self.strikes["offset"].read(*around)),
            sources.read(*around),
            origins.read(*around),
        )
        reader = Reader(*self.piano.look_back(lag, config.attack_window))
        made = play(reader, strokes, config.strike_window)
        keys, shares = self._follow_keys(made, lag, strike)
        self.shares = tape.line("shares", shares, lag, axis=2)
        return (
            tape.line("streams", made.streams, lag, unit=HOP_LENGTH),
            self._follow(made, lag, low, loudest),
            keys,
        )

    def _follow(self, made: Restrikes, lag: int, low: Line, loudest: Line) -> Lines[Strikes]:
        config = self.model.config
        attacks = self.attacks["probability"]
        around = (lag, config.strike_window - 1, 1)
        table, first = attacks.look_back(lag, config.attack_window)
        there = at_source(table, made, first)[:, :VOICES].flatten(1, 2)
        level = self.strikes["level"].read(*around).unsqueeze(2)
        far = 1 + max(
            config.strike_window + config.attack_window + 2,
            math.ceil(UNSTRUCK_S * SAMPLE_RATE / HOP_LENGTH),
        )
        loud, first_loud = loudest.look_back(lag, far)
        # Looked back on later by so many frames, it is what was just before.
        quiet, first_quiet = low.look_back(lag + GainRefiner.BEFORE_FRAMES, far)
        known = Strikes(
            encoding=remember(self.encoding.read(*around), made),
            ages=describe_ages(made),
            attacks=torch.cat([attacks.read(lag), there], 1),
            level=remember_own(level, made)[:, :, 0],
            dynamics=self.dynamics.read(lag),
            struck=blend_voices(at_attack(loud, made, first_loud), self.shares.block),
            before=blend_voices(at_attack(quiet, made, first_quiet), self.shares.block),
        )
        return Lines(self.tape, "struck", known, lag, {"struck": 2, "before": 2})

    def _follow_keys(self, made: Restrikes, lag: int, strike: Line) -> tuple[Lines[Keys], Tensor]:
        sounding = self.sounding.read(lag)
        struck = strike.read(lag).unsqueeze(2) * self.voices.read(lag - KEYS_DELAY)
        rings = ringing(
            self.tape.line("keys.struck", struck, lag).read(behind=CONTEXT_FRAMES),
            self.ended.read(lag, behind=CONTEXT_FRAMES),
        )
        levels, first = self.key_levels.look_back(lag, self.model.config.attack_window)
        heard = at_source(levels, made, first)
        keys, shares = share_keys(
            self.model.decoder.owners,
            sounding,
            rings * sounding.unsqueeze(1),
            heard,
            made.own_keys,
        )
        return Lines(self.tape, "keys.now", keys, lag), shares

    def sound(self, streams: Line, strikes: Lines[Strikes], keys: Lines[Keys]) -> tuple[Made, int]:
        """The decoder, and everything together."""
        model, tape = self.model, self.tape
        decoder = model.decoder
        of_streams, lag = spectra(streams, model.stft)
        blended = of_voices(list(of_streams.unbind(1)), self.shares.read(lag))
        stream_spectra = tape.line("streams.spectra", torch.stack(blended, 1), lag, axis=3)

        def sources(lag: int) -> list[Tensor]:
            return [self.piano_spectra.read(lag), *stream_spectra.read(lag).unbind(1)]

        loudness = tape.line("loudness", decoder.loudness(sources(lag)), lag, axis=2)
        hidden = decoder.enter(
            self.encoding.read(lag), strikes.read(lag), keys.read(lag), loudness.block
        )
        hidden, lag = pass_blocks(tape, "decoder", hidden, lag, decoder.blocks)
        hidden = decoder.out_norm(hidden)
        struck, loud = strikes.read(lag), loudness.read(lag)
        proposal = decoder.propose(hidden, struck, keys.read(lag), loud)
        refiner = decoder.refiner
        low = tape.line("refiner", refiner.look(proposal, loud, struck, hidden), lag, axis=2)
        logits = refiner.sharpen(proposal.logits, low.block, low.read(behind=refiner.LOOKBACK))
        shaped = decoder.shape(logits, struck, sources(lag))
        steps_line = tape.line("envelope", decoder.envelope_values(hidden), lag, axis=1)
        audio, lag = synthesise(tape, "windows", shaped, lag, model.stft)
        values = steps_line.read(lag, ahead=1)
        steps = values.shape[2]
        values = values.flatten(1)
        envelope = decoder.envelope_between(values[:, :-steps], values[:, 1 : 1 - steps])
        coloured = model.colour(self.drum_spectra.read(self.weights.lag), self.weights.block)
        drums, earlier = synthesise(tape, "drums.windows", coloured, self.weights.lag, model.stft)
        drums = tape.line("drums.coloured", drums, earlier, unit=HOP_LENGTH).read(lag)
        onsets = self.strikes.read(lag)
        made = Made(
            mix=audio * envelope.unsqueeze(1) + drums.unsqueeze(1),
            weights=self.weights.read(lag),
            strikes=onsets.probability.amax(1),
            onsets=onsets.probability,
            timing=strike_times(onsets.offset),
            levels=onsets.level,
            keys=self.voices.read(lag - KEYS_DELAY),
        )
        return made, lag
