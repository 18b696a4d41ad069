"""A patch discriminator: whether an alpha could be the true one of a picture, place by place.

It sees picture and alpha together, and tells true alphas from the network's by what is in patches
of 38 pixels (PatchGAN: Isola et al., CVPR 2017; on mattes: Lutz et al., "AlphaGAN", BMVC 2018).
What it would rather see teaches the network, beside the losses that measure a distance: those are
least for the mean of all outlines that could be, which is a soft rim. In training only; nothing
of it travels with the weights.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (12, 24, 48)
LEARNING_RATE = 2e-4
BETAS = (0.5, 0.99)
SLOPE = 0.2
LEAST_PULL = 1e-3
"""Below this sum over places, the pull is too weak to be worth making as strong as any other."""


class PatchCritic(nn.Module):
    """[N,3,h,w] picture and [N,1,h,w] alpha, 0..1 -> [N,1,h/8,w/8]: above 0 is "true".

    Spectral normalisation (Miyato et al., ICLR 2018) keeps it from becoming so sure that nothing
    can be learnt from it.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 4
        for width in widths:
            layers += [_normed(nn.Conv2d(channels, width, 4, 2, 1)), nn.LeakyReLU(SLOPE)]
            channels = width
        self.body = nn.Sequential(*layers, _normed(nn.Conv2d(channels, 1, 3, 1, 1)))

    def forward(self, rgb: Tensor, alpha: Tensor) -> Tensor:
        """See the class."""
        x = torch.cat([rgb, alpha], 1) * 2 - 1
        verdict: Tensor = self.body(x.contiguous(memory_format=torch.channels_last))
        return verdict


class Critic:
    """The discriminator with its own optimiser.

    Args:
        device: where it learns.
    """

    def __init__(self, device: torch.device) -> None:
        self.network = PatchCritic().to(device)
        self.network.to(memory_format=torch.channels_last)
        self._optimizer = torch.optim.Adam(self.network.parameters(), LEARNING_RATE, BETAS)

    def pull(self, rgb: Tensor, alpha: Tensor) -> Tensor:
        """A loss whose gradient on ``alpha`` [N,1,h,w] is where the discriminator wants it.

        Its absolute values sum to 1, as those of the mean absolute error do, however sure the
        discriminator is; so the weight of this loss is its share of the gradient.
        """
        seen = alpha.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(-self.network(rgb, seen).mean(), seen)
        return (alpha * (gradient / gradient.abs().sum().clamp_min(LEAST_PULL))).sum()

    def learn(self, rgb: Tensor, made: Tensor, true: Tensor) -> Tensor:
        """One step of the hinge loss on alphas that the network made and on true ones.

        Returns:
            The loss: 2 where it cannot tell them apart, 0 where it can without fail.
        """
        verdicts = self.network(torch.cat([rgb, rgb]), torch.cat([made.detach(), true]))
        of_made, of_true = verdicts.chunk(2)
        loss = F.relu(1 + of_made).mean() + F.relu(1 - of_true).mean()
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        return loss.detach()

    def state_dict(self) -> dict[str, Any]:
        """Everything :meth:`load_state_dict` needs to go on."""
        return {"network": self.network.state_dict(), "optimizer": self._optimizer.state_dict()}

    def load_state_dict(self, content: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` returned."""
        self.network.load_state_dict(content["network"])
        self._optimizer.load_state_dict(content["optimizer"])


def _normed(layer: nn.Conv2d) -> nn.Module:
    return nn.utils.parametrizations.spectral_norm(layer)
