"""A private PostgreSQL cluster and a private OSRM, for the tests, the demo and the measurements."""
