"""How the schema is declared: edges, streams, policy, guards, freshness, scalars, enums."""
