"""What the old tree imports of the lab's private package, answered by `visioncore`.

With `legacy` and the root of this repository on PYTHONPATH, `legacy/monolith/training/train_ddp_multidataset.py` runs as it is.
"""
