"""How a model wants its frame and what it gives back: one class a contract.

    rvm                full-size RGB in; alpha and foreground colour at full size out; four ConvGRU
                       states; mostly a downsample ratio as one more input
    rvm-compact-core   small RGB in; guided-filter coefficients out; four ConvGRU states
    rvm-compact-lean   the same, but for the guided filter, which is done outside of the graph
    mask               small RGB in; a mask of that size out; no memory (small peers, to compare)

A contract knows nothing of the runtime that executes the graph: it deals in numpy arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rvm.errors import ModelError
from rvm.matting.contracts.base import Array, Contract, Port, Ports
from rvm.matting.contracts.compact import CompactContract, LeanContract
from rvm.matting.contracts.mask import MaskContract
from rvm.matting.contracts.rvm import RvmContract, auto_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rvm.matting.weights import ModelEntry

__all__ = [
    "CONTRACTS",
    "Array",
    "CompactContract",
    "Contract",
    "LeanContract",
    "MaskContract",
    "Port",
    "Ports",
    "RvmContract",
    "auto_ratio",
    "choose_contract",
]

#: name -> contract; detection tries them in this order.
CONTRACTS: Mapping[str, type[Contract]] = {
    contract.name: contract
    for contract in (RvmContract, CompactContract, LeanContract, MaskContract)
}


def choose_contract(
    entry: ModelEntry | None, inputs: Sequence[str], outputs: Sequence[str], name: str
) -> type[Contract]:
    """The contract that the manifest states, or the one that the graph's names show.

    Raises:
        ModelError: no contract fits; the message lists the graph's names.
    """
    if entry is not None and entry.contract not in CONTRACTS:
        raise ModelError(f"model {name} asks for contract {entry.contract!r}; update rvm")
    candidates = [CONTRACTS[entry.contract]] if entry else list(CONTRACTS.values())
    for contract in candidates:
        if contract.fits(inputs, outputs):
            return contract
    raise ModelError(
        f"{name} is no matting model that rvm knows: inputs {', '.join(inputs)}, "
        f"outputs {', '.join(outputs)}"
    )
