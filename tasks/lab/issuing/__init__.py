"""What cert-manager's controller does in the lab: issuers, certificates, and Let's Encrypt's challenges."""
