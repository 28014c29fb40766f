"""Every module can be the first of ours that a program imports: no circle shows by that order."""

import subprocess
import sys
from pathlib import Path

import scraper

ROOT = Path(scraper.__file__).parent
EACH_IN_A_CHILD = """
import importlib, os, sys, traceback
failed = []
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        try:
            importlib.import_module(name)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        failed.append(name)
sys.exit(", ".join(failed) or 0)
"""


def test_every_module_can_be_imported_first() -> None:
    paths = [path.relative_to(ROOT.parent).with_suffix("") for path in ROOT.rglob("*.py")]
    names = sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)
    names.remove("scraper.__main__")
    assert len(names) > 50
    ran = subprocess.run(
        [sys.executable, "-c", EACH_IN_A_CHILD, *names], check=False, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
