"""Open exactly the media that was named, and nothing that it points at.

A media file can be a set of instructions: playlists (`m3u8`, `ffconcat`, `sdp`, `mpd`) and FFmpeg's
own address forms (`concat:`, `subfile:`, `data:`, `lavfi`) make a player open other files or
connect to other machines. Therefore a path must be an existing regular file, FFmpeg may use no
protocol but `file`, and only the demuxers of self-contained formats are allowed.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import av

from rvm.errors import InputError, UnsafeInputError

if TYPE_CHECKING:
    from av.codec.hwaccel import HWAccel
    from av.container import InputContainer
    from av.video.stream import VideoStream

logger = logging.getLogger(__name__)

#: Self-contained formats: none of these demuxers opens a second file or a socket.
SAFE_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,mpegts,mpeg,avi,flv,asf,mxf,ogg,nut,ivf,gif,"
    "yuv4mpegpipe,h264,hevc,m4v"
)
#: Formats a network camera may speak.
STREAM_FORMATS = f"rtsp,mpjpeg,mjpeg,{SAFE_FORMATS}"
#: For each scheme of a network camera, the protocols that FFmpeg needs for it.
STREAM_PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,udp,tcp,tls",
    "http": "http,tcp",
    "https": "https,http,tls,tcp",
}
#: Largest picture that is decoded: twice 8K. A few kilobytes can claim far more.
MAX_PIXELS = 8192 * 8192

#: What PyAV and FFmpeg raise on bad media, seen under bit flips (`av.FFmpegError` alone is not
#: enough: IndexError, MemoryError and EOFError arrive too).
MEDIA_FAILURES = (
    av.FFmpegError,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    ArithmeticError,
    LookupError,
    MemoryError,
    RuntimeError,
)

_ADDRESS = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]+:")
_PLAYLIST_MAGIC = (b"#EXTM3U", b"ffconcat", b"<MPD", b"<?xml", b"v=0", b"<SMIL", b"[playlist]")


def open_input(path: str | os.PathLike[str], *, hwaccel: HWAccel | None = None) -> InputContainer:
    """Open a local media file for reading; the caller closes the container.

    A name with a colon, or one that looks like an address, opens as that file if it exists.

    Args:
        path: the file.
        hwaccel: decodes its video streams on a device.

    Raises:
        InputError: missing, not a regular file, unreadable, empty, or not a known media format.
        UnsafeInputError: an address instead of a file, or a playlist.
    """
    name = os.fspath(path)
    absolute = _regular_file(name)
    options = {"protocol_whitelist": "file", "format_whitelist": SAFE_FORMATS}
    try:
        return av.open(
            f"file:{absolute}", "r", options=options, metadata_errors="replace", hwaccel=hwaccel
        )
    except MEDIA_FAILURES as error:
        logger.debug("cannot open %s: %r", name, error)
        raise InputError(f"{name}: not a video file that can be read ({reason(error)})") from error


def open_stream(
    url: str, *, open_seconds: float = 5.0, read_seconds: float = 2.0
) -> InputContainer:
    """Open a network camera that the user named (`rtsp[s]://` or `http[s]://`).

    Only the protocols of that one scheme are allowed, playlists are refused, and opening and each
    read end after the given time.

    Raises:
        UnsafeInputError: any other scheme.
        InputError: no answer, or not a video stream.
    """
    scheme = url.split("://", 1)[0].lower() if "://" in url else ""
    if scheme not in STREAM_PROTOCOLS:
        known = ", ".join(f"{name}://" for name in STREAM_PROTOCOLS)
        raise UnsafeInputError(f"{hide_secrets(url)}: a network camera must be one of {known}")
    options = {
        "protocol_whitelist": STREAM_PROTOCOLS[scheme],
        "format_whitelist": STREAM_FORMATS,
        # What is read while the stream is examined comes late, and is then caught up with.
        "analyzeduration": "1000000",
    }
    if scheme.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"
    timeout = (open_seconds, read_seconds)
    try:
        return av.open(url, "r", options=options, metadata_errors="replace", timeout=timeout)
    except MEDIA_FAILURES as error:
        why = reason(error)
        raise InputError(f"{hide_secrets(url)}: the stream does not open ({why})") from error


def first_video_stream(container: InputContainer, name: str) -> VideoStream:
    """The first real video stream (cover art is not one), its size checked before any decoding.

    Raises:
        InputError: no video stream, an unknown codec, or a picture above `MAX_PIXELS`.
    """
    # PyAV leaves out streams it has no decoder for; `streams.video` holds the usable ones.
    covers = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not streams:
        raise InputError(f"{name}: there is no video in this file")
    stream = streams[0]
    context = stream.codec_context
    if context is None:
        raise InputError(f"{name}: its video codec is not known here")
    if context.width * context.height > MAX_PIXELS:
        raise InputError(
            f"{name}: a picture of {context.width}x{context.height} is larger than "
            f"the limit of {MAX_PIXELS // 1_000_000} megapixels"
        )
    # The header can lie; the decoder itself must refuse a larger picture later on.
    context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def is_local(container: InputContainer) -> bool:
    """Whether it was opened by `open_input`, not from the network."""
    return container.name.startswith("file:")


def reason(error: BaseException) -> str:
    """FFmpeg's own few words for an error, without error numbers or internal names."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(words).split())[:200].lower().removesuffix(".")


def hide_secrets(url: str) -> str:
    """`url` without a user name and password, for messages."""
    return re.sub(r"(://)[^/@]*@", r"\1***@", url)


def _regular_file(name: str) -> str:
    """Absolute path of a readable, non-empty regular file that is not a playlist."""
    try:
        status = Path(name).stat()
    except (OSError, ValueError) as error:
        if _ADDRESS.match(name):
            raise UnsafeInputError(
                f"{hide_secrets(name)}: an address, not a file; give the path of a local file"
            ) from error
        raise InputError(f"{name!s}: cannot be opened ({reason(error)})") from error
    if stat.S_ISDIR(status.st_mode):
        raise InputError(f"{name}: a folder, not a video file")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{name}: a device or pipe, not a regular file")
    if status.st_size == 0:
        raise InputError(f"{name}: the file is empty")
    try:
        with Path(name).open("rb") as file:
            head = file.read(256)
    except OSError as error:
        raise InputError(f"{name}: cannot be opened ({reason(error)})") from error
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(_PLAYLIST_MAGIC):
        raise UnsafeInputError(
            f"{name}: a playlist that names other files; give the video file itself"
        )
    return str(Path(name).absolute())
