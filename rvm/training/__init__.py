"""How the weights in models/ are made: material, augmentation, losses and the loop."""
