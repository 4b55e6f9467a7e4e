"""Publishing of trusted documents: manifests, checks, breaking schema changes."""
