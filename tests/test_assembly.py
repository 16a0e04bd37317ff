"""Kits assembled from others: every drum of some kit, the usual balance, another kit each time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from creative_mix.constants import SAMPLE_RATE
from creative_mix.training import rooms
from creative_mix.training.assembly import LEVELS, AssembledKit, assemble, ring_along
from creative_mix.training.instruments import SampledKit
from creative_mix.training.material import Material
from creative_mix.training.notes import Hit
from creative_mix.training.pairs import PairMaker
from creative_mix.training.samples import SampleFile, SampleStore

KICK, SNARE, HAT, CONGA = 36, 38, 42, 63


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.fixture(scope="module")
def kits(tiny_material: Material) -> list[SampledKit]:
    return [kit.sampled() for kit in tiny_material.kits]


def sound(kit: SampledKit, gm_note: int, seed: int = 5) -> np.ndarray:
    return kit.play([Hit(0.0, gm_note, 110)], SAMPLE_RATE // 2, rng(seed))


def test_a_kit_follows_from_its_draws(kits: list[SampledKit]) -> None:
    first, again, other = (sound(assemble(kits, rng(seed)), KICK) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and np.all(np.isfinite(first))
    assert not np.allclose(first, other, atol=1e-3)
    kit = assemble(kits, rng(1))
    sound(kit, SNARE)  # what is played before moves nothing
    assert np.array_equal(first, sound(kit, KICK))


def test_every_performance_has_its_own_kit(tiny_material: Material) -> None:
    kit = AssembledKit(tiny_material.kits)
    hits = [Hit(0.1, KICK, 100), Hit(0.3, HAT, 100)]
    first, again, other = (kit.play(hits, SAMPLE_RATE, rng(seed), 2.0) for seed in (1, 1, 2))
    assert first.shape == (2, SAMPLE_RATE) and np.array_equal(first, again)
    assert not np.allclose(first, other, atol=1e-3)


def test_drums_come_from_all_kits(kits: list[SampledKit]) -> None:
    """Also from the synthesised one, which alone has hand drums here."""
    folders = {
        file.path.parent.name
        for seed in range(12)
        for file in assemble(kits, rng(seed)).files
        if file.sound in ("kick", "snare", "hat_closed")
    }
    assert folders == {"first", "second", "synthesised"}
    kit = assemble(kits, rng(1))
    assert kit.has_hands and np.abs(sound(kit, CONGA)).max() > 0


def test_drums_have_the_usual_balance(kits: list[SampledKit]) -> None:
    """However loud their recordings are, and whatever their colours do to that."""
    for seed in range(12):
        kit = assemble(kits, rng(seed))
        kick, snare, hat = (np.abs(sound(kit, note)).max() for note in (KICK, SNARE, HAT))
        assert 20 * np.log10(kick / snare) == pytest.approx(1.0, abs=1.5)
        assert 20 * np.log10(kick / hat) == pytest.approx(13.0, abs=1.5)


def test_few_levels_are_used_and_the_loudest_is_one() -> None:
    store, files = SampleStore(), []
    for drum in ("kick", "snare", "hat_closed"):
        for layer in range(1, 8):
            for take in (1, 2):
                path = Path(drum) / f"v{layer}_rr{take}"
                store.pin(str(path), np.full((2, 900), 0.1 * layer, np.float32))
                files.append(SampleFile(path, drum, 0, layer, take))
    recorded = SampledKit("recorded", files, store)
    seen = []
    for seed in range(20):
        chosen = [file for file in assemble([recorded], rng(seed)).files if file.sound == "kick"]
        if chosen[0].path.parent.name == "kick":  # not the synthesised one
            layers = [file.layer for file in chosen]
            assert 7 in layers and len(set(layers)) == len(layers) <= LEVELS + 2
            seen += [file.round_robin for file in chosen]
    assert set(seen) == {1, 2}


def test_sources_keep_their_strokes(kits: list[SampledKit]) -> None:
    """A drum's tuning is of its own kit alone: nothing is kept of it elsewhere."""
    before = sound(kits[0], SNARE)
    kept = len(kits[0].store)
    for seed in range(5):
        sound(assemble(kits, rng(seed)), SNARE)
    assert np.array_equal(before, sound(kits[0], SNARE))
    assert len(kits[0].store) <= kept + 10  # the drums as they are


def test_what_rings_along_is_softer_and_begins_with_the_hits(kits: list[SampledKit]) -> None:
    hits = [Hit(0.5, KICK, 110), Hit(0.8, SNARE, 90)]
    dry = kits[0].play(hits, SAMPLE_RATE, rng(1))
    for seed in range(8):
        rung = ring_along(dry, rng(seed))
        assert rung.shape == dry.shape and rung.dtype == np.float32
        assert -40.0 < rooms.rms_db(rung) - rooms.rms_db(dry) < -6.0
        before = rung[:, : round(0.49 * SAMPLE_RATE)]
        assert np.abs(before).max() < 1e-3 * np.abs(rung).max()
        assert np.array_equal(rung, ring_along(dry, rng(seed)))
    assert not np.any(ring_along(np.zeros_like(dry), rng(0)))


def test_some_performances_ring_along(tiny_material: Material, kits: list[SampledKit]) -> None:
    """The others are what the assembled kit plays by itself."""
    assembled, hits, alone = AssembledKit(tiny_material.kits), [Hit(0.1, SNARE, 100)], 0
    for seed in range(20):
        draws = rng(seed)
        plain = assemble(kits, draws).play(hits, SAMPLE_RATE // 2, draws)
        alone += int(np.array_equal(plain, assembled.play(hits, SAMPLE_RATE // 2, rng(seed))))
    assert 1 <= alone <= 13


def test_some_pairs_have_assembled_kits(tiny_material: Material) -> None:
    maker = PairMaker(tiny_material, duration_s=2.0, bias_share=0.0, assembled_kits=0.5)
    names = [maker._compose(seed).kit.name for seed in range(40)]
    assert 10 <= names.count(AssembledKit.name) <= 30
    loops = PairMaker(tiny_material, duration_s=2.0, assembled_kits=1.0, loop_share=1.0)
    assert {loops._compose(seed).kit.name for seed in range(20)} == {"assembled", "synthesised"}


def test_the_rest_of_a_pair_stays(tiny_material: Material) -> None:
    """Of one that hand drums do not play: kits without them could not."""
    plain, made = (
        PairMaker(tiny_material, duration_s=3.0, bias_share=0.0, **shares).make(2)
        for shares in ({}, {"assembled_kits": 1.0})
    )
    assert made.meta == plain.meta | {"kit": "assembled"}
    assert np.array_equal(plain.piano, made.piano) and np.array_equal(plain.truth, made.truth)
    assert not np.allclose(plain.drums, made.drums, atol=1e-3)
