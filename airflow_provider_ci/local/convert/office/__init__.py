"""LibreOffice: installed, kept warm as a worker in the sandbox, and driven over UNO."""
