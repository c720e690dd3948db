"""What is done with the fields of documents: conditions over them, and text made of them."""
