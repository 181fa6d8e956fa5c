import copy


def remove_pixel_norm(config):
    """A copy of the config without `pixelnorm` on transforms of `stim`, and whether there was one."""
    config = copy.deepcopy(config)
    found = False
    for transform in config.get("transforms", {}).values():
        if transform.get("source") == "stim":
            ops = [op for op in transform["ops"] if "pixelnorm" not in op]
            found = found or len(ops) < len(transform["ops"])
            transform["ops"] = ops
    return config, found
