"""The emotion of an utterance: weighted and unweighted accuracy, usually over the folds of a cross-validation."""
