"""The encoders, one folder a family. In it: `cards.py` (data, no torch), `model.py`, `README.md` and more."""

if __name__ != "audiossl.upstreams":
    raise ImportError("this folder is the package audiossl.upstreams: import it under that name")
