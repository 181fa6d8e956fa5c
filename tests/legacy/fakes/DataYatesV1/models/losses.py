from models.losses import MaskedLoss, PoissonBPSAggregator

__all__ = ["MaskedLoss", "PoissonBPSAggregator"]
