"""One module for each theme that `astbtd check` judges."""
