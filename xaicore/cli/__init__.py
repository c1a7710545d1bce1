"""The command line: ``xaicore explain | evaluate | report | methods | train``."""
