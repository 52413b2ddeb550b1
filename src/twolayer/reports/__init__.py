"""What the command line says to people: of a study, a figure, the plugins, and the folders that nothing asks for."""
