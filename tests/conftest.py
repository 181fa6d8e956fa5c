"""For all tests."""

import os

from hypothesis import HealthCheck, settings

# how long an example takes says more about the machine than about the example
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Where several workers share the cores, each with as many threads as there are cores, threads mostly wait for each other.
if "PYTEST_XDIST_WORKER_COUNT" in os.environ:
    threads = (os.cpu_count() or 1) // int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, threads)))
