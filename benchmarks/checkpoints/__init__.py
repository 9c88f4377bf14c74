"""What other checkpoints and their training cost: imported encoders, the paper's network."""
