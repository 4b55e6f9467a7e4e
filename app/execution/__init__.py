"""From a document to an answer. Knows schema and policy, and no domain, vendor or transport."""
