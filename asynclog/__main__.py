"""``python -m asynclog``: the command line."""

from asynclog.cli import main

if __name__ == "__main__":
    main()
