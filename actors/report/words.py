"""What the agents ask of the model. The words are part of the answers' keys: to change them is to ask anew."""

from ..completion import Ask
from ..models.prompt import CITE_LABELS, READ_AS_DATA

SUMMARIZE = (
    "Summarize the document in at most three sentences. Keep names, numbers and conditions as they are. " + READ_AS_DATA
)
SUMMARY = Ask(
    instructions=SUMMARIZE,
    sentences=3,
    labels=("",),  # of one document: a label would stand in every summary, and be taken for a citation later on
    kind="summary",
)

ANSWER = (
    "Answer the question from the documents alone, in at most six sentences; say so if they do not answer it. "
    f"{CITE_LABELS} {READ_AS_DATA}"
)
ANSWER_SENTENCES = 6

OVERVIEW = (
    f"Say in at most six sentences what the documents are about, the most important first. {CITE_LABELS} {READ_AS_DATA}"
)
