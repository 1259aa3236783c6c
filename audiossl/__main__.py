"""`python -m audiossl` is the command `audiossl`."""

from audiossl.cli.main import main

main()
