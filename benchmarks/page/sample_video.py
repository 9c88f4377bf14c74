"""The sample video of the page.

`python -m benchmarks.page.sample_video` writes `app/web/sample.mp4`. Eight seconds of
fireworks. Everything is drawn here, so that the licence is that of the project.
"""

from dataclasses import dataclass

import av
import numpy as np
import numpy.typing as npt

from benchmarks.harness.paths import ROOT

_PATH = ROOT / "app" / "web" / "sample.mp4"
_WIDTH, _HEIGHT, _RATE = 320, 240, 15
_SECONDS, _INTERVAL_SECONDS = 8.0, 0.84
_SPARKS, _TRAIL = 110, 6
_BURN_SECONDS, _RISE_SECONDS = 1.9, 0.5
_COLOURS = ((255, 120, 60), (255, 220, 120), (120, 180, 255), (255, 90, 160), (150, 255, 150))

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class _Burst:
    """Sparks that fly from a point; `velocities` is (S, 2) in pixels per second."""

    start_seconds: float
    centre: Floats
    colour: Floats
    velocities: Floats


def _bursts(random: np.random.Generator) -> list[_Burst]:
    starts = np.arange(-0.3, _SECONDS - 0.5, _INTERVAL_SECONDS)
    made = []
    for number, start in enumerate(starts):
        angles = random.uniform(0, 2 * np.pi, _SPARKS)
        speeds = random.uniform(0.3, 1, _SPARKS) ** 0.5 * random.uniform(90, 130)
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        made.append(
            _Burst(
                float(start),
                random.uniform((60, 60), (_WIDTH - 60, 115)).astype(np.float32),
                np.array(_COLOURS[number % len(_COLOURS)], np.float32),
                (directions * speeds[:, None]).astype(np.float32),
            )
        )
    return made


def _background() -> Floats:
    """A night sky above a hill: (height, width, 3) float32, 0 to 255."""
    rows, columns = np.mgrid[0:_HEIGHT, 0:_WIDTH].astype(np.float32)
    sky = np.full((_HEIGHT, _WIDTH, 3), (5, 7, 18), np.float32)
    hill = _HEIGHT - 26 - 8 * np.sin(columns / 40) - 5 * np.sin(columns / 17)
    sky[rows > hill] = (3, 4, 7)
    return sky


def _add_lights(light: Floats, points: Floats, colour: Floats) -> None:
    """Add a light at each (x, y) of (N, 2) points to a (height, width, 3) picture."""
    columns, rows = points.round().astype(int).T
    seen = (columns >= 0) & (columns < _WIDTH) & (rows >= 0) & (rows < _HEIGHT - 30)
    np.add.at(light, (rows[seen], columns[seen]), colour)


def _glow(light: Floats) -> Floats:
    """The lights with a halo."""
    soft, halo = light.copy(), light
    for _ in range(3):
        for axis in (0, 1):
            halo = (np.roll(halo, 1, axis) + halo + np.roll(halo, -1, axis)) * np.float32(0.43)
        soft += np.float32(0.8) * halo
    return soft


def _frame(seconds: float, background: Floats, bursts: list[_Burst]) -> npt.NDArray[np.uint8]:
    light = np.zeros_like(background)
    for burst in bursts:
        age = seconds - burst.start_seconds
        if -_RISE_SECONDS < age < 0:
            rocket = burst.centre + np.array((0, -age * 260), np.float32)
            _add_lights(light, rocket[None], np.array((255, 220, 160), np.float32))
        if not 0 <= age < _BURN_SECONDS:
            continue
        for step in range(_TRAIL):
            then = max(age - step * 0.04, 0.0)
            # air slows the sparks down while gravity pulls them
            way = (1 - np.exp(-1.8 * then)) / 1.8
            points = burst.centre + burst.velocities * way + np.array((0, 18 * then**2))
            fade = (1 - age / _BURN_SECONDS) * (1 - step / _TRAIL)
            _add_lights(light, points.astype(np.float32), burst.colour * np.float32(fade))
    picture: npt.NDArray[np.uint8] = np.clip(background + _glow(light), 0, 255).astype(np.uint8)
    return picture


def main() -> None:
    """Draw the frames and write the file."""
    background, bursts = _background(), _bursts(np.random.default_rng(2))
    with av.open(_PATH, "w") as container:
        stream = container.add_stream("libx264", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = _WIDTH, _HEIGHT, "yuv420p"
        # the same bytes whatever the number of processors
        stream.options = {"crf": "34", "preset": "slow", "threads": "1"}
        for number in range(int(_SECONDS * _RATE)):
            frame = av.VideoFrame.from_ndarray(_frame(number / _RATE, background, bursts))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


if __name__ == "__main__":
    main()
