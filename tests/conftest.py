"""For all tests."""

from hypothesis import HealthCheck, settings

# how long an example takes says more about the machine than about the example
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
