"""``python -m hfpipe`` is ``hfpipe``."""

from hfpipe.cli.app import main

if __name__ == "__main__":
    main()
