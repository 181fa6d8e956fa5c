"""The trainer's parts: callbacks, samplers, schedules, regularizers, the loss and the score; `lightning` holds the modules."""
