"""Mark a task of START_HERE.md in the current folder: update_task_status.py LINE complete|pending

`checklist complete` and `checklist pending` do the same; this needs nothing but Python.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from thinkube_nornir.checklist.script import main  # found by the line above

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
