"""The tasks, one folder each. In it: `cards.py` (data, no torch), `task.py`, a YAML for each setting, `README.md`."""

if __name__ != "audiossl.downstreams":
    raise ImportError("this folder is the package audiossl.downstreams: import it under that name")
