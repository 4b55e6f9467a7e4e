"""`python -m app.sandbox`: run the three servers until Ctrl-C; one line of JSON on stdout when they answer."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from app.sandbox.process import DEFAULT_TOKEN, serve


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m app.sandbox", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True, help="where the data is, or is built once")
    parser.add_argument("--ports", type=int, nargs=3, default=(0, 0, 0), metavar=("ERP", "COMMERCE", "LOGISTICS"))
    parser.add_argument("--token", default=DEFAULT_TOKEN, help="the bearer token to ask for")
    parser.add_argument("--today", type=date.fromisoformat, help="the day it is (for tests); else the real one")
    parser.add_argument("--with-parent", action="store_true", help="stop when standard input ends")
    parser.add_argument("--webhook", nargs=2, metavar=("URL", "SECRET"), help="send webhooks to URL/erp and so on")
    parser.add_argument(
        "--large", action="store_true", help="40,000 items, and two sales reps more, with 800 and 5,000 customers"
    )
    options = parser.parse_args()
    serve(
        options.data_dir,
        options.ports,
        token=options.token,
        today=options.today,
        with_parent=options.with_parent,
        webhook=options.webhook and tuple(options.webhook),
        large=options.large,
    )


if __name__ == "__main__":
    main()
