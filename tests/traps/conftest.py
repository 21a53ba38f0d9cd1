"""The scripts in this folder are programs that test_traps.py runs, not modules to be collected."""

collect_ignore_glob = ["*.py"]
