"""100,000 distinct action phrases, and pairs of them."""

from collections.abc import Iterator
from itertools import product

import numpy as np
import numpy.typing as npt

PHRASES = 100_000

_VERBS = (
    "carrying,washing,painting,throwing,catching,repairing,pushing,pulling,lifting,cutting,"
    "folding,opening,closing,filling,cleaning,drawing,building,breaking,dragging,balancing,"
    "measuring,decorating,wrapping,unpacking,stacking,kicking,rolling,spinning,shaking,polishing,"
    "hiding,searching for,inspecting,photographing,selling,buying,stealing,feeding,petting,chasing"
)
_OBJECTS = (
    "a ball,a bicycle,a horse,a dog,a cat,a guitar,a piano,a drum,a book,a newspaper,a letter,"
    "a ladder,a hammer,a saw,a rope,a bucket,a chair,a table,a mattress,a carpet,a window,a door,"
    "a car,a truck,a boat,a kite,a balloon,a hat,a coat,a pair of shoes,a loaf of bread,a cake,"
    "a pizza,an apple,a melon,a fish,a chicken,a bottle,a glass,a teapot,a camera,a telephone,"
    "a laptop,a suitcase,an umbrella,a tent,a flag,a candle,a plant,a tree"
)
_PLACES = (
    "in a kitchen,in a garden,in a park,in a forest,in a factory,in a classroom,in a hospital,"
    "in a gym,in a theatre,in a church,in a museum,in a library,in a car park,in a tunnel,"
    "in the rain,in the snow,in the dark,on a beach,on a roof,on a bridge,on a stage,on a train,"
    "on a farm,on a mountain,on a frozen lake,on a football pitch,at a wedding,at a market,"
    "at an airport,at a bus stop,at a campsite,at a birthday party,by a river,by a swimming pool,"
    "under a tree,behind a fence,with one hand,with a friend,with gloves on,while singing,"
    "while dancing,while walking,while sitting,very slowly,in a hurry,for the first time,"
    "before sunrise,at night,for a child,for a crowd"
)


def phrases() -> list[str]:
    """All phrases, always in the same random order."""
    made = [
        " ".join(parts)
        for parts in product(*(part.split(",") for part in (_VERBS, _OBJECTS, _PLACES)))
    ]
    order = np.random.default_rng(0).permutation(len(made))
    return [made[position] for position in order]


def pairs(count: int) -> Iterator[npt.NDArray[np.int64]]:
    """Yield `count` distinct pairs of positions of different phrases, always the same."""
    for repetition in range(1, count // PHRASES + 2):
        shift = repetition * 7919
        for first in range(min(PHRASES, count - (repetition - 1) * PHRASES)):
            yield np.array([first, (first + shift) % PHRASES])
