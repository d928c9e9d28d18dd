"""What every capstone promises, whatever it makes: the kinds of works, the model card, the page of the demo."""

from coursekit.capstone.card import SECTIONS, Card, faults_of_card, read_card
from coursekit.capstone.folder import load_template
from coursekit.capstone.showing import show
from coursekit.capstone.website import PAGE_HEADERS, page
from coursekit.capstone.works import (
    KINDS,
    MAX_PROMPT,
    MAX_SEED,
    OPTIONS,
    Image,
    Notes,
    Work,
    fault_of_work,
    from_json,
    kind_of,
    random_state,
    same_work,
    to_json,
)

__all__ = [
    "KINDS",
    "MAX_PROMPT",
    "MAX_SEED",
    "OPTIONS",
    "PAGE_HEADERS",
    "SECTIONS",
    "Card",
    "Image",
    "Notes",
    "Work",
    "fault_of_work",
    "faults_of_card",
    "from_json",
    "kind_of",
    "load_template",
    "page",
    "random_state",
    "read_card",
    "same_work",
    "show",
    "to_json",
]
