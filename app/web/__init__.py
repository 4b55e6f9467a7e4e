"""HTTP routes beside GraphQL: health checks, console, IDE, pages."""
