"""Training of the embedded models, a small LLaVA and two small CLIPs: from scratch, on rendered figures alone."""
