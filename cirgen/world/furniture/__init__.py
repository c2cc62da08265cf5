"""The second embedded world: product-like renders of CC0 furniture models; every colour, view and kind is known."""
