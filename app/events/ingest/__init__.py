"""Events in: from what sources tell to what subscribers are told.

notices.py    where notices come in, by webhook or from a feed, and gaps in them are seen
gaps.py       which of a source's events have not been heard of
polling.py    asks the sources' feeds what is new
relisting.py  what to read again when nobody knows what was missed
reading.py    works on notices: reads again what they are about, and records what has changed
background.py the scope of all this work
rereading.py  how a thing of each kind is read, and what its update says
"""

from app.events.ingest.ingestion import Intake

__all__ = ["Intake"]
