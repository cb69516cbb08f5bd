"""From a command line to its jobs: what is planned, who lives them, what is drawn as one goes, what goes on."""
