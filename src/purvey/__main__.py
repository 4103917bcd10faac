"""The command `purvey`."""

from purvey.server.cli import main

if __name__ == "__main__":
    main()
