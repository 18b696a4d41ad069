"""Planes on a device to the RGB a network sees, without leaving the device.

The torch twin of `rvm.colour.rgb.network_rgb`: same matrices, ranges and HDR handling, so that a
model sees the same picture on a GPU as on a CPU (to about a code value where resizing differs).
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from rvm.colour import primaries, ranges, rgb, torch_transfer
from rvm.frame import ColourTags, Frame
from rvm.gpu import transfer


def network_rgb(frame: Frame, width: int, height: int) -> Tensor:
    """The picture as a network wants it.

    Args:
        frame: its planes are tensors, all on one device.
        width, height: wanted size in pixels.

    Returns:
        [1, 3, height, width] float32 on that device, R'G'B' in 0..1, finite for any input.
    """
    code = torch.cat([resample(as_nchw(plane), width, height) for plane in frame.planes], 1)
    picture = affine(code, ranges.code_to_rgb(frame.format, frame.colour))
    if frame.colour.is_hdr:
        picture = torch_transfer.from_light("srgb", _roll_off(_light_in_709(picture, frame.colour)))
    elif frame.colour.transfer == "linear":
        picture = torch_transfer.from_light("srgb", picture)
    return picture.clamp_(0, 1)


def as_nchw(plane: Tensor) -> Tensor:
    """(H, W) or (H, W, C) samples of any type -> [1, C, H, W] float32."""
    if plane.ndim == 2:
        return plane[None, None].to(torch.float32)
    return plane.permute(2, 0, 1)[None].to(torch.float32)


def resample(image: Tensor, width: int, height: int) -> Tensor:
    """[1, C, H, W] at any size, by the rule of `rvm.colour.chroma.resample`."""
    rows, columns = image.shape[-2:]
    while columns >= 2 * width and rows >= 2 * height:
        columns, rows = (columns + 1) // 2, (rows + 1) // 2
        image = _bilinear(image, columns, rows)
    if (columns, rows) == (width, height):
        return image
    shrinks = columns >= width and rows >= height
    if shrinks and (columns >= 2 * width or rows >= 2 * height):
        across = _area_weights(columns, width, image.device)
        down = _area_weights(rows, height, image.device)
        return down @ image @ across.T
    return _bilinear(image, width, height)


def _bilinear(image: Tensor, width: int, height: int) -> Tensor:
    return F.interpolate(image, (height, width), mode="bilinear", align_corners=False)


@functools.lru_cache(maxsize=16)
def _area_weights(size: int, wanted: int, device: torch.device) -> Tensor:
    """[wanted, size] float32: how much of each sample lies in each new, larger one."""
    step = size / wanted
    edges = torch.arange(wanted + 1, dtype=torch.float64) * step
    samples = torch.arange(size, dtype=torch.float64)
    overlap = torch.minimum(samples + 1, edges[1:, None]) - torch.maximum(samples, edges[:-1, None])
    return (overlap.clamp_min(0) / step).to(device, torch.float32)


def affine(image: Tensor, matrix: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Tensor:
    """[1, C, H, W] through an n x (C + 1) affine map, or n x C linear map -> [1, n, H, W]."""
    _, channels, rows, columns = image.shape
    table = _table(np.asarray(matrix, np.float32).tobytes(), matrix.shape[1], image.device)
    # No convolution: on a GPU those may round what they are given to 10 bits (TF32).
    mapped = table[:, :channels] @ image.reshape(channels, rows * columns)
    if table.shape[1] > channels:
        mapped += table[:, channels:]
    return mapped.view(1, -1, rows, columns)


@functools.lru_cache(maxsize=64)
def _table(values: bytes, columns: int, device: torch.device) -> Tensor:
    """float32 values as a matrix on a device, copied there once: copying waits for the device."""
    array = np.frombuffer(values, np.float32).reshape(-1, columns).copy()
    return torch.from_numpy(array).to(device)


def _light_in_709(signal: Tensor, tags: ColourTags) -> Tensor:
    light = torch_transfer.to_light(tags.transfer, signal)
    if tags.primaries == "bt709":
        return light
    return affine(light, primaries.convert(tags.primaries, "bt709"))


def _roll_off(light: Tensor) -> Tensor:
    """See `rvm.colour.rgb._roll_off`."""
    room = 1 - rgb._KNEE
    over = (light - rgb._KNEE).clamp_min(0)
    return light.clamp_max(rgb._KNEE) + room * (1 - torch.exp(-over / room))


def upload(frame: Frame, device: torch.device) -> Frame:
    """The same frame with its planes on `device`; the same object if they are there.

    8-bit planes become uint8 tensors; deeper ones uint16, or int32 on MPS, which has no uint16.
    """
    planes = tuple(_to_device(plane, device) for plane in frame.planes)
    if all(new is old for new, old in zip(planes, frame.planes, strict=True)):
        return frame
    return dataclasses.replace(frame, planes=planes)


def _to_device(plane: object, device: torch.device) -> Tensor:
    if isinstance(plane, Tensor):
        return plane if plane.device == device else plane.to(device)
    return transfer.to_device(np.asarray(plane), device)


def download(frame: Frame) -> Frame:
    """The same frame in main memory: numpy planes and alpha. The same object if it is there.

    The planes of a CUDA frame are copied to pinned memory on a stream of their own, see
    `rvm.gpu.transfer`.
    """
    tensors = [*frame.planes] + ([] if frame.alpha is None else [frame.alpha])
    if not any(isinstance(tensor, Tensor) for tensor in tensors):
        return frame
    copies = transfer.HostCopy(tensors).wait()
    planes = tuple(
        copy.numpy().astype(frame.format.dtype, copy=False)  # int32 on MPS, see `upload`
        for copy in copies[: len(frame.planes)]
    )
    alpha = None if frame.alpha is None else copies[-1].numpy()
    return dataclasses.replace(frame, planes=planes, alpha=alpha)
