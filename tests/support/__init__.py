"""What tests share: servers, clients, credentials, and how the suite runs."""
