"""All attacks, by group."""

from __future__ import annotations

from tests.attacks import (
    authentication,
    authorization,
    backends,
    bad_input,
    budgets,
    cross_site,
    denial,
    documents,
    information,
    orders,
    secrets,
    sockets,
)

EVERY = [
    *information.attacks,
    *denial.attacks,
    *cross_site.attacks,
    *authentication.attacks,
    *authorization.attacks,
    *orders.attacks,
    *documents.attacks,
    *backends.attacks,
    *sockets.attacks,
    *bad_input.attacks,
    *budgets.attacks,
    *secrets.attacks,
]
