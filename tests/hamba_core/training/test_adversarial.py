"""A discriminator learns to tell hands apart, and a network learns to be taken for a hand."""

import torch

from hamba_core.hand import exp_so3
from hamba_core.training import HandDiscriminator, discriminating_loss, fooling_loss


def hands(count: int, spread: float, random: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    turns = spread * torch.randn(count, 15, 3, generator=random)
    return torch.from_numpy(exp_so3(turns.numpy())).float(), spread * torch.randn(count, 10, generator=random)


def test_it_learns_which_hands_are_real_and_its_gradient_leads_there() -> None:
    random = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    discriminator = HandDiscriminator()
    optimiser = torch.optim.AdamW(discriminator.parameters(), 3e-3)
    for _ in range(60):
        real, made = hands(32, 0.1, random), hands(32, 1.0, random)
        loss = discriminating_loss(discriminator(*real), discriminator(*made))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    with torch.no_grad():
        real, made = discriminator(*hands(64, 0.1, random)), discriminator(*hands(64, 1.0, random))
    assert real.shape == (64, 17)
    assert float(fooling_loss(real)) < 0.5 * float(fooling_loss(made))

    pose, betas = hands(16, 1.0, random)
    betas.requires_grad_()
    before = fooling_loss(discriminator(pose, betas))
    before.backward()  # type: ignore[no-untyped-call]
    assert betas.grad is not None
    with torch.no_grad():
        after = fooling_loss(discriminator(pose, betas - 0.05 * betas.grad / betas.grad.norm(dim=1, keepdim=True)))
    assert float(after) < float(before.detach())


def test_a_perfect_judge_has_no_loss() -> None:
    assert float(discriminating_loss(torch.ones(3, 17), torch.zeros(2, 17))) == 0
    assert float(fooling_loss(torch.ones(2, 17))) == 0
    assert float(fooling_loss(torch.zeros(2, 17))) == 17
