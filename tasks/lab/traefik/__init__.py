"""What Traefik's pods do, for as much of it as the platform uses: routes, certificates, and the status they write."""
