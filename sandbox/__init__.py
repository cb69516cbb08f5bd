"""Learning systems that may edit how they learn, run, judged, recorded and measured."""
