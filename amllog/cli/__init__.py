"""The command line `amllog`."""
