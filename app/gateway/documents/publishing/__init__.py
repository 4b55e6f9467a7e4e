"""What happens to trusted documents before a server sees them: manifests, checks, and what a new schema would break."""
