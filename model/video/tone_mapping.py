"""Show HDR frames as SDR: PQ and HLG in BT.2020 become BT.709.

Works on frames that are scaled already, so that it costs a few milliseconds for each frame that is
looked at. The formulas are those of Recommendations ITU-R BT.2100 (PQ, HLG) and BT.2087 (colours).
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# FFmpeg's numbers of the transfer curves -> their names.
HDR_CURVES = {16: "PQ", 18: "HLG"}
_LEVELS = 4096
# Candela per square metre: white in HDR graphics by BT.2408, white of SDR displays, and the display
# for which HLG is defined.
_HDR_WHITE, _SDR_WHITE, _HLG_PEAK = 203.0, 100.0, 1000.0
_HLG_GAMMA = 1.2
_DISPLAY_GAMMA = 2.4
# Parts of BT.2020's red, green and blue (columns) in BT.709's (rows).
_TO_BT709 = np.array(
    [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ],
    np.float32,
)
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)
# The share of pixels that may be brighter than white, and where the curve begins to bend.
_BRIGHTEST = 0.995
_KNEE = 0.8


def tone_map(pixels: NDArray[np.uint16], curve: int) -> NDArray[np.uint8]:
    """Convert RGB pixels (H, W, 3) with an HDR curve to 8-bit RGB for an SDR display.

    White is the brightness of the brightest pixels, but at least SDR's white and at most HDR's, so
    that material graded for either is shown as bright as it was meant. What is brighter is
    compressed.
    """
    light = _light_of_levels(curve)[pixels >> 4]
    if HDR_CURVES[curve] == "HLG":
        scene = light @ _LUMINANCE
        light *= (_HLG_PEAK * np.maximum(scene, 1e-6) ** (_HLG_GAMMA - 1))[..., np.newaxis]
    light = np.maximum(light @ _TO_BT709.T, 0)
    brightest = np.quantile(light.max(axis=2), _BRIGHTEST)
    white = float(np.clip(brightest, _SDR_WHITE, _HDR_WHITE))
    shown = (light / white) ** (1 / _DISPLAY_GAMMA)
    return np.round(_compressed(shown) * 255).astype(np.uint8)


@cache
def _light_of_levels(curve: int) -> Floats:
    """The light of each of 4096 levels: candela per square metre for PQ, scene light for HLG."""
    level = np.linspace(0, 1, _LEVELS)
    if HDR_CURVES[curve] == "PQ":
        root = level ** (1 / 78.84375)
        part = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
        return (10_000 * part ** (1 / 0.1593017578125)).astype(np.float32)
    dark = level**2 / 3
    bright = (np.exp((level - 0.55991073) / 0.17883277) + 0.28466892) / 12
    return np.where(level <= 0.5, dark, bright).astype(np.float32)


def _compressed(shown: Floats) -> Floats:
    """Bend what is brighter than the knee, so that the brightest pixel is 1."""
    peak = float(shown.max())
    if peak <= 1:
        return shown
    bend = (peak - _KNEE) / (1 - _KNEE) - 1
    share = np.maximum(shown - _KNEE, 0) / (peak - _KNEE)
    bent = _KNEE + (1 - _KNEE) * share * (1 + bend) / (1 + bend * share)
    return np.where(shown > _KNEE, bent, shown).astype(np.float32)
