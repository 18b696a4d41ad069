"""What a decoded picture carries besides its samples: FFmpeg's side data, by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from av.sidedata.sidedata import Type

if TYPE_CHECKING:
    import av


def side_data_of(picture: av.VideoFrame) -> dict[str, bytes]:
    """The name of each kind (`DISPLAYMATRIX`, ...) and its bytes; `OTHER_n` if new to PyAV."""
    side_data: Any = picture.side_data  # PyAV's stubs take it for a mapping of strings
    return {data.type.name: bytes(data) for data in side_data}


def _other(cls: type[Type], number: int) -> Type:
    """A member for a number that PyAV's table does not have."""
    member: Any = object.__new__(cls)
    member._name_, member._value_ = f"OTHER_{number}", number
    return cast(Type, member)


# PyAV 18's table ends before FFmpeg's (Exif, views of spatial video), and a single kind that it
# does not know is a ValueError for all that the picture carries.
Type._missing_ = classmethod(_other)  # type: ignore[method-assign, assignment]
