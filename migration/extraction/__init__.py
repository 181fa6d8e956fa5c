"""Taking a module apart: what goes where (`layout`), the new module's text (`target`), what is left (`remainder`)."""
