def read_text(portion, fields):
    return iter(())
