"""The main job as a service: a page for a browser, and an endpoint for HARP in a DAW."""
