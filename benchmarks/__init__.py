"""How fast Roost is, beside what people would use instead: `python -m benchmarks --help`."""
