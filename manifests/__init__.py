"""What is declared: datasets, corruption suites, encoders and runs, in TOML."""
