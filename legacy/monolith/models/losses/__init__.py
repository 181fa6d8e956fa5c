from .poisson import MaskedLoss, PoissonBPSAggregator, calc_poisson_bits_per_spike

__all__ = ["MaskedLoss", "PoissonBPSAggregator", "calc_poisson_bits_per_spike"]
