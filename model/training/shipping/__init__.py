"""The steps of shipping a checkpoint: choices on validation classes, scores, figures, model card.

`model.training.ship` calls them in order. Imports neither `compare` nor `report`.
"""
