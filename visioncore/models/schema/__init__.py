"""The model YAML, written down once: every key, its type, its default.

One dataclass for the `params` of each stage and type, and one for the whole file. Names and defaults are those of the lab's
YAMLs, so that an old config and an old checkpoint mean what they meant. `reading.py` fills them; nothing here knows of YAML.
"""
