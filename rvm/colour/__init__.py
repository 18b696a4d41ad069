"""What code values mean, and how to get from one meaning to another.

* `guess`: tags for a source that names none;
* `matrices`, `ranges`: Y'CbCr and code values to R'G'B' 0..1 and back, as one 3x4 affine map;
* `transfer`, `primaries`: R'G'B' to linear light and between gamuts;
* `chroma`: subsampling by area, and back;
* `rgb`: whole frames to and from display-referred RGB.

Numbers follow ITU-R BT.601, BT.709, BT.1886, BT.2020, BT.2100, BT.2408, ITU-T H.273,
SMPTE ST 2084 and IEC 61966-2-1.
"""
