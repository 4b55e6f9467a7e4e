"""Wake-ups of the workers that claim from one queue: what one of them has claimed must not put another to sleep."""

from __future__ import annotations

from app.intake.records import IntakeState
from app.storage.batch_queue import WakeUp


class ClaimWakeUps:
    """A wake-up for each target and state that are claimed."""

    def __init__(self) -> None:
        self._claims: dict[tuple[str, IntakeState | None], WakeUp] = {}

    def of(self, target: str, state: IntakeState | None) -> WakeUp:
        """The wake-up of those who claim from a target, in a state if one is named."""
        return self._claims.setdefault((target, state), WakeUp())

    @property
    def targets(self) -> set[str]:
        """The targets that are claimed from."""
        return {target for target, _ in tuple(self._claims)}

    def notify(self) -> None:
        """Something may be there to claim."""
        for one in self._claims.values():
            one.notify()

    def observe(self, position: int) -> None:
        """Note the newest intake of any process, and notify if it has changed."""
        for one in self._claims.values():
            one.observe(position)
