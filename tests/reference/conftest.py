"""The scripts here need the library that they compare with: they are run by hand."""

collect_ignore_glob = ["torch_*.py"]
