"""One lock for what must not happen while a CUDA graph is captured.

ONNX Runtime captures so that whatever another thread asks of the driver meanwhile (memory, an
encoder's session) fails, and takes the capture with it. Importing this imports no torch.
"""

from __future__ import annotations

import threading

#: Held by whoever captures, waits for the device, gives memory back to the driver, or opens or
#: closes a decoder or an encoder on a GPU.
LOCK = threading.Lock()
