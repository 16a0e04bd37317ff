"""Performances whose left hand is another's."""

from __future__ import annotations

import numpy as np
import pytest
from samplekit import write_material

from creative_mix.training.composition import GENERATED
from creative_mix.training.generators import generate_performance
from creative_mix.training.hands import SHIFTS, other_left_hand, pitch_classes
from creative_mix.training.material import Material
from creative_mix.training.notes import Note
from creative_mix.training.pairs import PairMaker


def played(seed: int) -> tuple[Note, ...]:
    return generate_performance(np.random.default_rng(seed), 10.0)[1]


@pytest.mark.parametrize("seed", range(12))
def test_the_right_hand_stays_and_the_left_is_the_other(seed: int) -> None:
    notes, other = played(seed), played(100 + seed)
    made = other_left_hand(notes, other)
    split = np.median([n.pitch for n in notes])
    starts = {(n.start_s, n.pitch) for n in made}
    assert {(n.start_s, n.pitch) for n in notes if n.pitch >= split} <= starts
    shifts = [
        shift
        for shift in SHIFTS
        if all(
            (n.start_s, n.pitch + shift) in starts
            for n in other
            if n.pitch < np.median([o.pitch for o in other]) and 21 <= n.pitch + shift <= 108
        )
    ]
    assert shifts
    assert list(made) == sorted(made, key=lambda n: (n.start_s, n.pitch))
    for at, note in enumerate(made):
        later = [n.start_s for n in made[at + 1 :] if n.pitch == note.pitch]
        assert note.start_s < note.end_s <= min(later, default=note.end_s)


def test_it_is_moved_to_the_key_of_the_other() -> None:
    """A piece under itself, moved by three semitones, comes back to where it was."""
    notes = played(3)
    moved = tuple(Note(n.start_s, n.end_s, n.pitch + 3, n.velocity) for n in notes)
    assert {n.pitch for n in other_left_hand(notes, moved)} <= {n.pitch for n in notes}
    assert np.linalg.norm(pitch_classes(notes)) == pytest.approx(1.0)


def test_a_piece_alone_stays_as_it_is() -> None:
    assert other_left_hand(played(1), ()) == played(1) and other_left_hand((), played(1)) == ()


def test_pairs_say_whose_hands_they_have(tmp_path_factory: pytest.TempPathFactory) -> None:
    material = Material.from_folder(write_material(tmp_path_factory.mktemp("material")))
    plain, exchanged = (
        PairMaker(material, duration_s=4.0, exchanged_hands=share) for share in (0.0, 1.0)
    )
    changed = 0
    for seed in range(20):
        before, after = plain._compose(seed), exchanged._compose(seed)
        assert before.hits == after.hits
        if before.meta["performance"].startswith(GENERATED):
            assert before.notes == after.notes
        else:
            changed += before.notes != after.notes
            assert " over " in after.meta["performance"]
    assert changed > 3
