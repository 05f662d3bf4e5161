"""LibreOffice: installs it, keeps it running as a worker in the sandbox, and controls it over UNO."""
