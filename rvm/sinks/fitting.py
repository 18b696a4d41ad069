"""Whether a container takes a stream that is copied, and what to say if it does not."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING

import av

from rvm.media.open import MEDIA_FAILURES
from rvm.sinks.codecs import ALPHA_CONTAINERS, CONTAINERS

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.stream import Stream

logger = logging.getLogger(__name__)

_KIND = {"audio": "sound", "subtitle": "subtitle", "video": "cover picture", "attachment": "file"}
#: Containers that a note may advise, for opaque pictures and for transparent ones.
_ADVISED = {False: ("mp4", "mov", "mkv"), True: ALPHA_CONTAINERS}


def fits(stream: Stream, extension: str) -> bool:
    """Whether a container takes a stream: asked by writing a header into memory."""
    trial = av.open(io.BytesIO(), "w", format=CONTAINERS[extension])
    try:
        trial.add_stream_from_template(stream, opaque=True)
        trial.start_encoding()
    except MEDIA_FAILURES as error:
        logger.debug("%s does not take %r: %r", extension, stream, error)
        return False
    finally:
        _close_quietly(trial)
    return True


def left_out(stream: Stream, extension: str, *, alpha: bool) -> str:
    """The note for a stream that stays behind.

    Args:
        stream: sound or subtitles.
        extension: of the output, without the dot.
        alpha: the picture is transparent; a container that is advised must hold that, too.
    """
    context = stream.codec_context
    codec = context.name if context is not None else "unknown codec"
    fitting = [name for name in _ADVISED[alpha] if name != extension and fits(stream, name)]
    advice = f"; .{fitting[0]} can" if fitting else ""
    what = f"{_KIND[stream.type]} stream {stream.index} ({codec})"
    return f"{what} left out: .{extension} cannot hold it{advice}"


def _close_quietly(trial: OutputContainer) -> None:
    try:
        trial.close()
    except MEDIA_FAILURES as error:
        logger.debug("closing a trial header: %r", error)
