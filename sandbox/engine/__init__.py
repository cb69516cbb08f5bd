"""How a lifetime is unrolled, differentiated and scored: `functional` (torch.func) and `higher`."""
