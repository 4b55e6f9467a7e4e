"""The embedded default: three small backend servers on loopback that speak the `rest` contract, with data and faults.

`python -m app.sandbox --data-dir D` runs them; `start_sandbox` does so from a program or a test.
"""

from app.sandbox.process import Sandbox, start_sandbox

__all__ = ["Sandbox", "start_sandbox"]
