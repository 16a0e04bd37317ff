"""The compositional creative agent and what surrounds it, in torch.

Shape letters, used in every docstring of this package: B batch, C audio channels, N samples,
T frames (ceil(N / 512)), D features, F frequency bins, V voices of the piano (low, inner, top).
"""
