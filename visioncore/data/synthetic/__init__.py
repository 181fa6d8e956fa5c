"""Recording sessions with a known truth."""

from visioncore.data.synthetic.session import SyntheticSession, make_session
from visioncore.data.synthetic.study import SyntheticStudy, default_study, write_sessions
from visioncore.data.synthetic.truth import Truth, load_truth

__all__ = [
    "SyntheticSession",
    "SyntheticStudy",
    "Truth",
    "default_study",
    "load_truth",
    "make_session",
    "write_sessions",
]
