from .general import ensure_tensor, get_module_device, model_size

__all__ = ["ensure_tensor", "get_module_device", "model_size"]
